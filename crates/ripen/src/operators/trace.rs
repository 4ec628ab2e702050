//! A look at a lead after every record and every fired deadline, for whoever wants to follow the scorer step by step.

use std::sync::mpsc::Sender;

use ripen_records::{ActivityRecord, Decision};
use ripen_runtime::Record;
use ripen_scorer::{Applied, Budget, LeadView, Refused, Shard};

/// A lead after something was done with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traced {
    /// The lead.
    pub lead: String,
    /// The instant, ms UTC: of the deadline, or the lead's own after a record.
    pub at_ms: i64,
    /// The activity's place in its source (topic or file, offset or line from 0); `None` for a deadline and for what
    /// leads send each other.
    pub input: Option<(String, i64)>,
    /// Whether a deadline fired.
    pub is_deadline: bool,
    /// What became of the record; `None` for a deadline.
    pub applied: Option<Applied>,
    /// The lead; `None` if it is gone: forgotten, erased or merged into another.
    pub view: Option<LeadView>,
}

/// Applies a record one deadline at a time and tells each; at most `room` deadlines.
pub(super) fn apply(
    shard: &mut Shard,
    lead: &str,
    activity: &ActivityRecord<'_>,
    record: &Record<'_>,
    room: u32,
    out: &mut Vec<Decision>,
    sink: &Sender<Traced>,
) -> Result<Applied, Refused> {
    shard.note_fired();
    let mut left = room;
    let applied = loop {
        let applied = shard.apply(lead, activity, record.timestamp_ms, &mut Budget::new(left.min(1)), out)?;
        for (lead, at_ms) in shard.take_fired() {
            let view = shard.lead(&lead, at_ms)?;
            tell(sink, Traced { lead, at_ms, input: None, is_deadline: true, applied: None, view });
        }
        left = left.saturating_sub(1);
        if applied != Applied::More || left == 0 {
            break applied;
        }
    };
    let is_of_lead = matches!(
        applied,
        Applied::Accepted { .. } | Applied::Filtered(_) | Applied::Merged | Applied::Erased
    );
    if is_of_lead {
        let view = shard.lead(lead, i64::MIN)?;
        let at_ms = view.as_ref().map_or(shard.clock(), |view| view.last_ms);
        let input = match activity {
            ActivityRecord::Activity(activity) => {
                Some((activity.input.topic.to_string(), activity.input.offset))
            }
            _ => None,
        };
        let lead = lead.to_owned();
        tell(sink, Traced { lead, at_ms, input, is_deadline: false, applied: Some(applied), view });
    }
    Ok(applied)
}

/// A reader that has gone does not matter.
fn tell(sink: &Sender<Traced>, traced: Traced) {
    let _ = sink.send(traced);
}
