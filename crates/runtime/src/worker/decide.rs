//! What to do about a failed call inside a transaction: a pure decision, carried out by the worker.

use crate::log::{Call, ErrorClass};

/// What the worker does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The same call once more, after a pause.
    Repeat,
    /// Abort the transaction and replace the producer, drop the stage, apply the retained batch again.
    AbortAndRerun,
    /// Replace the producer, which fences whatever is still under way, then look in the group's committed
    /// offsets whether this transaction's marker is there: merge if so, else re-run.
    Resolve,
    /// End this worker: somebody else has its identity.
    Exit,
}

/// Decides about an error of `call`. `out_of_time`: the call has been repeated until its deadline.
pub fn decide(call: Call, class: ErrorClass, out_of_time: bool) -> Action {
    match (call, class) {
        (_, ErrorClass::Fenced) => Action::Exit,
        (_, ErrorClass::Fatal | ErrorClass::Unknown) => Action::Resolve,
        // A producer that cannot abort is of no use; a new one aborts for it.
        (Call::Abort | Call::Recreate | Call::Commit | Call::Begin, ErrorClass::Retriable) if out_of_time => {
            Action::Resolve
        }
        (Call::Abort | Call::Recreate, ErrorClass::Abortable) => Action::Resolve,
        // Part of the records may have been sent: sending all of them again would double them.
        (Call::Produce, ErrorClass::Retriable) => Action::AbortAndRerun,
        (_, ErrorClass::Retriable) if out_of_time => Action::AbortAndRerun,
        (_, ErrorClass::Retriable) => Action::Repeat,
        (_, ErrorClass::Abortable) => Action::AbortAndRerun,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Action::*;
    use ErrorClass::*;

    #[test]
    fn every_call_and_class_has_its_action() {
        // call, then the actions for: retriable, retriable out of time, abortable, fatal, unknown, fenced
        let table = [
            (Call::Begin, [Repeat, Resolve, AbortAndRerun, Resolve, Resolve, Exit]),
            (Call::Produce, [AbortAndRerun, AbortAndRerun, AbortAndRerun, Resolve, Resolve, Exit]),
            (Call::SendOffsets, [Repeat, AbortAndRerun, AbortAndRerun, Resolve, Resolve, Exit]),
            (Call::Commit, [Repeat, Resolve, AbortAndRerun, Resolve, Resolve, Exit]),
            (Call::Abort, [Repeat, Resolve, Resolve, Resolve, Resolve, Exit]),
            (Call::Recreate, [Repeat, Resolve, Resolve, Resolve, Resolve, Exit]),
        ];
        for (call, actions) in table {
            let cases = [
                (Retriable, false),
                (Retriable, true),
                (Abortable, false),
                (Fatal, false),
                (Unknown, false),
                (Fenced, false),
            ];
            for ((class, out_of_time), expected) in cases.into_iter().zip(actions) {
                assert_eq!(decide(call, class, out_of_time), expected, "{call:?} {class:?} {out_of_time}");
            }
        }
    }
}
