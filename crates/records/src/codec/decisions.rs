//! The record of `ripen.decisions.v1`, field by field in the schema's order.

use crate::avro::{Fault, Reader, put_boolean, put_list, put_long, put_optional, put_text};
use crate::codec::EncodeError;
use crate::{
    Alert, Atom, Attribute, AudienceChange, Cause, Change, DecidingInput, Decision, DecisiveActivity,
    Explanation, Handover, HandoverTrait, HistoryEntry, Line, LineKind, ResponseState, ResponseStep, Score,
    StageChange, Touch, Touches, VerdictInForce,
};

/// Symbols in the schema's order, which is that of the variants.
const CAUSES: [Cause; 11] = [
    Cause::Activity,
    Cause::Decay,
    Cause::FactExpired,
    Cause::Verdict,
    Cause::VerdictExpired,
    Cause::Merge,
    Cause::Feedback,
    Cause::ModelChange,
    Cause::Timer,
    Cause::Forgotten,
    Cause::Erased,
];

/// Symbols in the schema's order, which is that of the variants.
const LINE_KINDS: [LineKind; 6] =
    [LineKind::Rule, LineKind::Cap, LineKind::Range, LineKind::Fit, LineKind::Bonus, LineKind::Framework];

/// Symbols in the schema's order, which is that of the variants.
const RESPONSE_STATES: [ResponseState; 5] = [
    ResponseState::Open,
    ResponseState::Overdue,
    ResponseState::Escalated,
    ResponseState::Answered,
    ResponseState::Closed,
];

pub(super) fn decision(body: &mut Reader<'_>) -> Result<Decision, Fault> {
    Ok(Decision {
        id: body.string()?,
        lead: body.string()?,
        born_ms: body.long()?,
        seq: body.narrow()?,
        effective_at_ms: body.long()?,
        decided_at_ms: body.long()?,
        historical: body.boolean()?,
        cause: body.symbol(&CAUSES)?,
        change: change(body)?,
        model_id: body.string()?,
        model_version: body.long()?,
        model_hash: body.string()?,
        stage: body.string()?,
        owner: body.string()?,
        next_step: body.optional(Reader::string)?,
        scores: body.array(|body| {
            Ok(Score { name: body.string()?, milli: body.long()?, label: body.optional(Reader::string)? })
        })?,
        expected_exit_at_ms: body.optional(Reader::long)?,
        expected_value_micros: body.optional(Reader::long)?,
        value_micros: body.long()?,
        attributes: body.array(|body| Ok(Attribute { name: body.string()?, value: body.string()? }))?,
        touches: Touches { first: body.optional(touch)?, last: body.optional(touch)? },
        input: body.optional(|body| {
            Ok(DecidingInput { topic: body.string()?, partition: body.narrow()?, offset: body.long()? })
        })?,
        explanation: explanation(body)?,
    })
}

pub(super) fn put_decision(decision: &Decision, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let seq = i64::try_from(decision.seq).map_err(|_| EncodeError::Seq { seq: decision.seq })?;
    put_text(&decision.id, out);
    put_text(&decision.lead, out);
    put_long(decision.born_ms, out);
    put_long(seq, out);
    put_long(decision.effective_at_ms, out);
    put_long(decision.decided_at_ms, out);
    put_boolean(decision.historical, out);
    put_long(decision.cause as i64, out);
    put_change(&decision.change, out);
    put_text(&decision.model_id, out);
    put_long(decision.model_version, out);
    put_text(&decision.model_hash, out);
    put_text(&decision.stage, out);
    put_text(&decision.owner, out);
    put_optional_text(decision.next_step.as_ref(), out);
    put_list(&decision.scores, out, |score, out| {
        put_text(&score.name, out);
        put_long(score.milli, out);
        put_optional_text(score.label.as_ref(), out);
    });
    put_optional(decision.expected_exit_at_ms, out, put_long);
    put_optional(decision.expected_value_micros, out, put_long);
    put_long(decision.value_micros, out);
    put_list(&decision.attributes, out, |attribute, out| {
        put_text(&attribute.name, out);
        put_text(&attribute.value, out);
    });
    put_optional(decision.touches.first.as_ref(), out, put_touch);
    put_optional(decision.touches.last.as_ref(), out, put_touch);
    put_optional(decision.input.as_ref(), out, |input, out| {
        put_text(&input.topic, out);
        put_long(input.partition.into(), out);
        put_long(input.offset, out);
    });
    put_explanation(&decision.explanation, out);
    Ok(())
}

/// A record of nullable parts, exactly one of them set.
fn change(body: &mut Reader<'_>) -> Result<Change, Fault> {
    let parts = [
        body.optional(stage_change)?.map(Change::StageChange),
        body.optional(|body| Ok(AudienceChange { audience: body.string()?, entered: body.boolean()? }))?
            .map(Change::AudienceChange),
        body.optional(handover)?.map(Change::Handover),
        body.optional(response_step)?.map(Change::Response),
        body.optional(|body| Ok(Alert { alert: body.string()?, to: body.array(Reader::string)? }))?
            .map(Change::Alert),
        body.optional(Reader::string)?.map(Change::MergedInto),
    ];
    let mut set = parts.into_iter().flatten();
    match (set.next(), set.next()) {
        (Some(change), None) => Ok(change),
        _ => Err(Fault::NotOneChange),
    }
}

/// The parts of a change in the schema's order: `before` are null, then the one that is set, then null again.
fn put_change(change: &Change, out: &mut Vec<u8>) {
    const PARTS: usize = 6;
    let before = match change {
        Change::StageChange(_) => 0,
        Change::AudienceChange(_) => 1,
        Change::Handover(_) => 2,
        Change::Response(_) => 3,
        Change::Alert(_) => 4,
        Change::MergedInto(_) => 5,
    };
    (0..before).for_each(|_| put_long(0, out));
    put_long(1, out);
    match change {
        Change::StageChange(change) => put_stage_change(change, out),
        Change::AudienceChange(AudienceChange { audience, entered }) => {
            put_text(audience, out);
            put_boolean(*entered, out);
        }
        Change::Handover(handover) => put_handover(handover, out),
        Change::Response(ResponseStep { stage, state, step, due_at_ms }) => {
            put_text(stage, out);
            put_long(*state as i64, out);
            put_long((*step).into(), out);
            put_optional(*due_at_ms, out, put_long);
        }
        Change::Alert(Alert { alert, to }) => {
            put_text(alert, out);
            put_texts(to, out);
        }
        Change::MergedInto(root) => put_text(root, out),
    }
    (before + 1..PARTS).for_each(|_| put_long(0, out));
}

fn stage_change(body: &mut Reader<'_>) -> Result<StageChange, Fault> {
    Ok(StageChange {
        from: body.string()?,
        to: body.string()?,
        from_owner: body.string()?,
        to_owner: body.string()?,
        passed: body.array(Reader::string)?,
    })
}

fn put_stage_change(change: &StageChange, out: &mut Vec<u8>) {
    put_text(&change.from, out);
    put_text(&change.to, out);
    put_text(&change.from_owner, out);
    put_text(&change.to_owner, out);
    put_texts(&change.passed, out);
}

fn handover(body: &mut Reader<'_>) -> Result<Handover, Fault> {
    Ok(Handover {
        stage: body.string()?,
        incomplete: body.boolean()?,
        missing: body.array(Reader::string)?,
        traits: body.array(|body| Ok(HandoverTrait { name: body.string()?, value: body.string()? }))?,
        history: body.array(|body| {
            Ok(HistoryEntry {
                t_ms: body.long()?,
                event: body.string()?,
                about: body.optional(Reader::string)?,
                dwell_ms: body.optional(Reader::long)?,
            })
        })?,
    })
}

fn put_handover(handover: &Handover, out: &mut Vec<u8>) {
    put_text(&handover.stage, out);
    put_boolean(handover.incomplete, out);
    put_texts(&handover.missing, out);
    put_list(&handover.traits, out, |handed, out| {
        put_text(&handed.name, out);
        put_text(&handed.value, out);
    });
    put_list(&handover.history, out, |entry, out| {
        put_long(entry.t_ms, out);
        put_text(&entry.event, out);
        put_optional_text(entry.about.as_ref(), out);
        put_optional(entry.dwell_ms, out, put_long);
    });
}

fn touch(body: &mut Reader<'_>) -> Result<Touch, Fault> {
    Ok(Touch {
        t_ms: body.long()?,
        source: body.optional(Reader::string)?,
        medium: body.optional(Reader::string)?,
        campaign: body.optional(Reader::string)?,
        term: body.optional(Reader::string)?,
        content: body.optional(Reader::string)?,
        referrer_host: body.optional(Reader::string)?,
    })
}

fn put_touch(touch: &Touch, out: &mut Vec<u8>) {
    put_long(touch.t_ms, out);
    for text in
        [&touch.source, &touch.medium, &touch.campaign, &touch.term, &touch.content, &touch.referrer_host]
    {
        put_optional_text(text.as_ref(), out);
    }
}

fn response_step(body: &mut Reader<'_>) -> Result<ResponseStep, Fault> {
    Ok(ResponseStep {
        stage: body.string()?,
        state: body.symbol(&RESPONSE_STATES)?,
        step: body.narrow()?,
        due_at_ms: body.optional(Reader::long)?,
    })
}

fn explanation(body: &mut Reader<'_>) -> Result<Explanation, Fault> {
    Ok(Explanation {
        lines: body.array(|body| {
            Ok(Line {
                score: body.string()?,
                kind: body.symbol(&LINE_KINDS)?,
                id: body.string()?,
                milli: body.long()?,
            })
        })?,
        decisive: body.array(|body| {
            Ok(DecisiveActivity {
                rule: body.string()?,
                t_ms: body.long()?,
                event_id_hash: body.string()?,
                about: body.optional(Reader::string)?,
            })
        })?,
        atoms: body.array(|body| {
            Ok(Atom { text: body.string()?, value: body.optional(Reader::string)?, truth: body.boolean()? })
        })?,
        facts: body.array(Reader::string)?,
        verdicts: body.array(|body| {
            Ok(VerdictInForce {
                id: body.string()?,
                reason: body.optional(Reader::string)?,
                until_ms: body.optional(Reader::long)?,
            })
        })?,
    })
}

fn put_explanation(explanation: &Explanation, out: &mut Vec<u8>) {
    put_list(&explanation.lines, out, |line, out| {
        put_text(&line.score, out);
        put_long(line.kind as i64, out);
        put_text(&line.id, out);
        put_long(line.milli, out);
    });
    put_list(&explanation.decisive, out, |activity, out| {
        put_text(&activity.rule, out);
        put_long(activity.t_ms, out);
        put_text(&activity.event_id_hash, out);
        put_optional_text(activity.about.as_ref(), out);
    });
    put_list(&explanation.atoms, out, |atom, out| {
        put_text(&atom.text, out);
        put_optional_text(atom.value.as_ref(), out);
        put_boolean(atom.truth, out);
    });
    put_texts(&explanation.facts, out);
    put_list(&explanation.verdicts, out, |verdict, out| {
        put_text(&verdict.id, out);
        put_optional_text(verdict.reason.as_ref(), out);
        put_optional(verdict.until_ms, out, put_long);
    });
}

fn put_texts(texts: &[String], out: &mut Vec<u8>) {
    put_list(texts, out, |text, out| put_text(text, out));
}

fn put_optional_text(text: Option<&String>, out: &mut Vec<u8>) {
    put_optional(text, out, |text, out| put_text(text, out));
}
