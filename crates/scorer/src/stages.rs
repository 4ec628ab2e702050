//! One evaluation (S11): latches bottom up, the stage, audiences, what sales sees, alerts. Forgetting (S20).
//!
//! When any of it may change by itself is `deadlines`' work.

use ripen_model::compiled::{AlertIx, FeedbackIx, Stage};

use crate::lead::{Latch, Lead, NEVER};
use crate::outlook::{NEVER_CHANGES, View};
use crate::plan::Plan;
use crate::sales::{self, SalesStep};
use crate::scores::Reading;

/// Why a lead is evaluated.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Occasion<'a> {
    /// An accepted activity: latches may be set and cleared.
    Activity(Happened<'a>),
    /// A deadline: latches may be cleared, and only those of `overrides` stages set.
    Deadline,
    /// A merge or another model: latches may be set and cleared.
    Whole,
}

/// What an activity brings to an evaluation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Happened<'a> {
    pub(crate) name: &'a str,
    pub(crate) t_ms: i64,
    pub(crate) feedback: &'a [FeedbackIx],
    pub(crate) alerts: &'a [AlertIx],
    /// Verdicts that held just before.
    pub(crate) held: &'a [u16],
}

/// What one evaluation changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Evaluation {
    /// Stages whose latch was set, ascending.
    pub(crate) set: Vec<u16>,
    /// Stages whose latch was cleared, ascending.
    pub(crate) cleared: Vec<u16>,
    pub(crate) from: u16,
    pub(crate) to: u16,
    /// A verdict holds that did not before the activity.
    pub(crate) has_new_verdict: bool,
    /// What follows from the stage, in the order of its decisions.
    pub(crate) changes: Vec<Changed>,
    /// Id and owner of the stage that was left, where the model does not name it any more.
    pub(crate) gone: Option<(String, String)>,
}

/// A change beside the stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Changed {
    Audience { audience: u16, entered: bool },
    Sales(SalesStep),
    Alert(u16),
}

impl Evaluation {
    /// Whether the lead is in another stage.
    pub(crate) fn has_moved(&self) -> bool {
        self.from != self.to || self.gone.is_some()
    }

    pub(crate) fn is_nothing(&self) -> bool {
        self.set.is_empty() && self.cleared.is_empty() && !self.has_moved() && self.changes.is_empty()
    }
}

/// Evaluates a lead at `at_ms`; `reading` holds the scores at that instant.
pub(crate) fn evaluate(
    plan: &Plan,
    lead: &mut Lead,
    at_ms: i64,
    reading: &Reading,
    on: Occasion<'_>,
) -> Evaluation {
    let mut evaluation = Evaluation { from: lead.stage, ..Evaluation::default() };
    latches(plan, lead, at_ms, reading, on, &mut evaluation);
    let mut held = std::mem::take(&mut lead.verdicts);
    verdicts_in_force(&View { plan, lead, at_ms, now: reading }, &mut held);
    lead.verdicts = held;
    if let Occasion::Activity(happened) = on {
        evaluation.has_new_verdict = lead.verdicts.iter().any(|verdict| !happened.held.contains(verdict));
    }
    lead.stage = stage_of(plan, lead);
    if lead.stage != evaluation.from {
        lead.stage_since_ms = at_ms;
    }
    evaluation.to = lead.stage;
    audiences(plan, lead, at_ms, reading, &mut evaluation);
    let answered = match on {
        Occasion::Activity(happened) => Some((happened.name, happened.t_ms)),
        Occasion::Deadline | Occasion::Whole => None,
    };
    sales::step(plan, lead, at_ms, answered, &mut |step| evaluation.changes.push(Changed::Sales(step)));
    let fired: &[AlertIx] = if let Occasion::Activity(happened) = on { happened.alerts } else { &[] };
    alerts(plan, lead, at_ms, reading, fired, &mut evaluation);
    evaluation
}

/// What feedback does to latches whatever their conditions say.
#[derive(Debug, Default)]
struct Orders {
    /// The stage that is latched now.
    recycled: Option<u16>,
    reopened: Vec<u16>,
}

impl Orders {
    fn of(plan: &Plan, on: Occasion<'_>) -> Orders {
        let mut orders = Orders::default();
        if let Occasion::Activity(happened) = on {
            for feedback in happened.feedback.iter().map(|ix| &plan.model.feedback[ix.ix()]) {
                orders.recycled = feedback.recycle.map(|(stage, _)| stage.0).or(orders.recycled);
                orders.reopened.extend(feedback.reopen.iter().map(|stage| stage.0));
            }
        }
        orders
    }

    /// Whether the latch of the stage is cleared by it.
    fn clears(&self, stage: u16, definition: &Stage) -> bool {
        let is_above = self.recycled.is_some_and(|to| stage > to);
        (is_above && !definition.terminal && !definition.overrides) || self.reopened.contains(&stage)
    }
}

fn latches(
    plan: &Plan,
    lead: &mut Lead,
    at_ms: i64,
    reading: &Reading,
    on: Occasion<'_>,
    evaluation: &mut Evaluation,
) {
    let orders = Orders::of(plan, on);
    let view = View { plan, lead, at_ms, now: reading };
    for (ix, stage) in plan.model.stages.iter().enumerate().skip(1) {
        let ix = ix as u16;
        let is_cooling = lead.cooled_until(ix).is_some_and(|until_ms| at_ms < until_ms);
        match lead.latched_since(ix) {
            None => {
                let may_set = !matches!(on, Occasion::Deadline) || stage.overrides;
                let enters = || stage.enter.as_ref().is_some_and(|enter| view.holds(enter));
                if may_set && !is_cooling && (orders.recycled == Some(ix) || enters()) {
                    evaluation.set.push(ix);
                }
            }
            Some(since_ms) => {
                if is_cooling || orders.clears(ix, stage) || leaves(&view, ix, stage, since_ms) {
                    evaluation.cleared.push(ix);
                }
            }
        }
    }
    for &stage in &evaluation.cleared {
        lead.clear_latch(stage);
    }
    for &stage in &evaluation.set {
        lead.set_latch(stage, at_ms);
    }
    // Not those that only this deadline finds ended: if it changes nothing, an activity that arrived before it may still
    // be looked at as of its arrival.
    lead.cooldowns.retain(|of| lead.last_ms < of.until_ms);
    lead.holds.retain(|of| lead.last_ms < of.until_ms);
}

/// Whether the latch is cleared by its own conditions. While `enter` holds, `exit` is not read.
fn leaves(view: &View<'_>, ix: u16, stage: &Stage, since_ms: i64) -> bool {
    view.at_ms >= since_ms.saturating_add(stage.min_dwell_ms)
        && view.lead.held_until(ix).is_none_or(|until_ms| until_ms <= view.at_ms)
        && stage.exit.as_ref().is_some_and(|exit| view.holds(exit))
        && !stage.enter.as_ref().is_some_and(|enter| view.holds(enter))
}

/// Puts the verdicts that hold into `held`.
pub(crate) fn verdicts_in_force(view: &View<'_>, held: &mut Vec<u16>) {
    held.clear();
    let all = view.plan.model.verdicts.iter().enumerate();
    held.extend(all.filter(|(_, verdict)| view.verdict_holds(verdict)).map(|(ix, _)| ix as u16));
}

/// An active `overrides` stage, the highest one, else the highest latched stage that no verdict hides.
fn stage_of(plan: &Plan, lead: &Lead) -> u16 {
    let latched = || lead.latches.iter().rev().map(|latch: &Latch| latch.stage);
    if let Some(stage) = latched().find(|stage| plan.overrides.contains(stage)) {
        return stage;
    }
    let in_force = plan.caps.iter().filter(|(verdict, _)| lead.verdicts.contains(verdict));
    let highest = in_force.map(|(_, stage)| *stage).min().unwrap_or(u16::MAX);
    latched().find(|stage| *stage <= highest).unwrap_or(0)
}

fn audiences(plan: &Plan, lead: &mut Lead, at_ms: i64, reading: &Reading, evaluation: &mut Evaluation) {
    for (ix, audience) in plan.model.audiences.iter().enumerate() {
        let ix = ix as u16;
        let belongs = View { plan, lead, at_ms, now: reading }.holds(&audience.when);
        match (lead.audiences.binary_search(&ix), belongs) {
            (Err(at), true) => lead.audiences.insert(at, ix),
            (Ok(at), false) => {
                lead.audiences.remove(at);
            }
            _ => continue,
        }
        evaluation.changes.push(Changed::Audience { audience: ix, entered: belongs });
    }
}

/// An alert with a condition fires when that begins to hold, one of an event when it happens; after it has fired it
/// is silent for its cool-down.
fn alerts(
    plan: &Plan,
    lead: &mut Lead,
    at_ms: i64,
    reading: &Reading,
    fired: &[AlertIx],
    evaluation: &mut Evaluation,
) {
    for (ix, alert) in plan.model.alerts.iter().enumerate() {
        let ix = ix as u16;
        let before = lead.alert_mark(ix);
        let mut mark = before;
        let rises = match &alert.when {
            Some(when) => {
                mark.is_on = View { plan, lead, at_ms, now: reading }.holds(when);
                mark.is_on && !before.is_on
            }
            None => fired.contains(&AlertIx(ix)),
        };
        let is_silent =
            before.fired_ms != NEVER && at_ms < before.fired_ms.saturating_add(alert.cool_down_ms);
        if rises && !is_silent {
            mark.fired_ms = at_ms;
            evaluation.changes.push(Changed::Alert(ix));
        }
        if mark != before {
            lead.put_alert_mark(mark);
        }
    }
}

/// Ends a life: it leaves its audiences, every latch falls, and with them the stage.
pub(crate) fn end_life(lead: &mut Lead) -> Evaluation {
    let from = std::mem::take(&mut lead.stage);
    let cleared = lead.latches.drain(..).map(|latch| latch.stage).collect();
    let mut evaluation = leave_audiences(lead);
    evaluation.changes.extend(sales::end(lead).map(Changed::Sales));
    Evaluation { cleared, from, ..evaluation }
}

/// The lead leaves every audience, as the last thing under its id.
pub(crate) fn leave_audiences(lead: &mut Lead) -> Evaluation {
    let left = lead.audiences.drain(..).map(|audience| Changed::Audience { audience, entered: false });
    Evaluation { from: lead.stage, to: lead.stage, changes: left.collect(), ..Evaluation::default() }
}

/// When the lead is forgotten if nothing more happens (S20); under another model it may be over already.
pub(crate) fn forget_ms(plan: &Plan, lead: &Lead) -> i64 {
    if lead.latches.iter().any(|latch| plan.model.stages[usize::from(latch.stage)].terminal) {
        return NEVER_CHANGES;
    }
    let time = &plan.model.time;
    let fleeting = lead.known_since_ms.is_none() && lead.stage == 0;
    let after_ms = if fleeting { time.forget_anonymous_ms.min(time.forget_ms) } else { time.forget_ms };
    lead.accepted_ms.saturating_add(after_ms)
}

/// Whether the lead's time is up at its deadline.
pub(crate) fn is_forgotten(plan: &Plan, lead: &Lead, deadline_ms: i64) -> bool {
    forget_ms(plan, lead) <= deadline_ms
}
