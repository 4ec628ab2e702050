//! The branches of `ripen.activities.v1`, field by field in the schema's order.

use std::borrow::Cow;

use crate::avro::{
    Fault, Reader, put_array, put_boolean, put_bytes, put_list, put_long, put_optional, put_text,
};
use crate::codec::EncodeError;
use crate::{
    Activity, ActivityRecord, Erase, Field, Input, Link, Origin, Page, Point, Switch, Text, Tick, Transfer,
    Utm, Value,
};

/// Symbols in the schema's order, which is that of the variants.
const ORIGINS: [Origin; 4] = [Origin::Unstated, Origin::Web, Origin::App, Origin::Server];

pub(super) fn record<'a>(body: &mut Reader<'a>) -> Result<ActivityRecord<'a>, Fault> {
    Ok(match body.long()? {
        0 => ActivityRecord::Activity(activity(body)?),
        1 => ActivityRecord::Link(Link {
            a: body.text()?,
            b: body.text()?,
            explicit: body.boolean()?,
            arrival_ms: body.long()?,
        }),
        2 => ActivityRecord::Transfer(Transfer {
            from: body.text()?,
            arrival_ms: body.long()?,
            epoch: body.narrow()?,
            format: body.narrow()?,
            state: Cow::Borrowed(body.bytes()?),
        }),
        3 => ActivityRecord::Point(Point { root: body.text()? }),
        4 => ActivityRecord::Erase(Erase {
            request_id: body.text()?,
            arrival_ms: body.long()?,
            suppress: body.boolean()?,
        }),
        5 => ActivityRecord::Tick(Tick { wall_ms: body.long()? }),
        6 => ActivityRecord::Switch(Switch {
            epoch: body.narrow()?,
            model_hash: body.text()?,
            semantics: body.narrow()?,
            state_format: body.narrow()?,
            at_ms: body.long()?,
        }),
        _ => return Err(Fault::NoSuchBranch),
    })
}

pub(super) fn put_record(record: &ActivityRecord<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match record {
        ActivityRecord::Activity(activity) => {
            put_long(0, out);
            put_activity(activity, out)?;
        }
        ActivityRecord::Link(Link { a, b, explicit, arrival_ms }) => {
            put_long(1, out);
            put_text(a, out);
            put_text(b, out);
            put_boolean(*explicit, out);
            put_long(*arrival_ms, out);
        }
        ActivityRecord::Transfer(Transfer { from, arrival_ms, epoch, format, state }) => {
            put_long(2, out);
            put_text(from, out);
            put_long(*arrival_ms, out);
            put_long((*epoch).into(), out);
            put_long((*format).into(), out);
            put_bytes(state, out);
        }
        ActivityRecord::Point(Point { root }) => {
            put_long(3, out);
            put_text(root, out);
        }
        ActivityRecord::Erase(Erase { request_id, arrival_ms, suppress }) => {
            put_long(4, out);
            put_text(request_id, out);
            put_long(*arrival_ms, out);
            put_boolean(*suppress, out);
        }
        ActivityRecord::Tick(Tick { wall_ms }) => {
            put_long(5, out);
            put_long(*wall_ms, out);
        }
        ActivityRecord::Switch(Switch { epoch, model_hash, semantics, state_format, at_ms }) => {
            put_long(6, out);
            put_long((*epoch).into(), out);
            put_text(model_hash, out);
            put_long((*semantics).into(), out);
            put_long((*state_format).into(), out);
            put_long(*at_ms, out);
        }
    }
    Ok(())
}

fn activity<'a>(body: &mut Reader<'a>) -> Result<Activity<'a>, Fault> {
    Ok(Activity {
        event_id: body.text()?,
        name: body.text()?,
        t_ms: body.long()?,
        arrival_ms: body.long()?,
        clamped: body.boolean()?,
        origin: body.symbol(&ORIGINS)?,
        ids: body.array(Reader::text)?,
        session: body.optional(Reader::text)?,
        page: body.optional(page)?,
        utm: body.optional(utm)?,
        properties: body.array(field)?,
        traits: body.array(field)?,
        input: Input { topic: body.text()?, partition: body.narrow()?, offset: body.long()? },
    })
}

fn put_activity(activity: &Activity<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    put_text(&activity.event_id, out);
    put_text(&activity.name, out);
    put_long(activity.t_ms, out);
    put_long(activity.arrival_ms, out);
    put_boolean(activity.clamped, out);
    put_long(activity.origin as i64, out);
    put_list(&activity.ids, out, |id, out| put_text(id, out));
    put_optional_text(activity.session.as_ref(), out);
    put_optional(activity.page.as_ref(), out, put_page);
    put_optional(activity.utm.as_ref(), out, put_utm);
    put_array(&activity.properties, out, put_field)?;
    put_array(&activity.traits, out, put_field)?;
    put_text(&activity.input.topic, out);
    put_long(activity.input.partition.into(), out);
    put_long(activity.input.offset, out);
    Ok(())
}

fn page<'a>(body: &mut Reader<'a>) -> Result<Page<'a>, Fault> {
    Ok(Page {
        path: body.optional(Reader::text)?,
        url: body.optional(Reader::text)?,
        host: body.optional(Reader::text)?,
        title: body.optional(Reader::text)?,
        referrer: body.optional(Reader::text)?,
        name: body.optional(Reader::text)?,
    })
}

fn put_page(page: &Page<'_>, out: &mut Vec<u8>) {
    let Page { path, url, host, title, referrer, name } = page;
    for text in [path, url, host, title, referrer, name] {
        put_optional_text(text.as_ref(), out);
    }
}

fn utm<'a>(body: &mut Reader<'a>) -> Result<Utm<'a>, Fault> {
    Ok(Utm {
        source: body.optional(Reader::text)?,
        medium: body.optional(Reader::text)?,
        campaign: body.optional(Reader::text)?,
        term: body.optional(Reader::text)?,
        content: body.optional(Reader::text)?,
    })
}

fn put_utm(utm: &Utm<'_>, out: &mut Vec<u8>) {
    let Utm { source, medium, campaign, term, content } = utm;
    for text in [source, medium, campaign, term, content] {
        put_optional_text(text.as_ref(), out);
    }
}

fn field<'a>(body: &mut Reader<'a>) -> Result<Field<'a>, Fault> {
    Ok(Field { name: body.text()?, value: value(body)? })
}

fn value<'a>(body: &mut Reader<'a>) -> Result<Value<'a>, Fault> {
    match body.long()? {
        3 => body.array(element).map(Value::Array),
        branch => scalar(branch, body),
    }
}

/// An element of a list; the schema has no list within a list, so reading cannot recurse.
fn element<'a>(body: &mut Reader<'a>) -> Result<Value<'a>, Fault> {
    let branch = body.long()?;
    scalar(branch, body)
}

fn scalar<'a>(branch: i64, body: &mut Reader<'a>) -> Result<Value<'a>, Fault> {
    match branch {
        0 => body.boolean().map(Value::Boolean),
        1 => Ok(Value::Number { micros: body.long()? }),
        2 => body.text().map(Value::String),
        _ => Err(Fault::NoSuchBranch),
    }
}

fn put_field(field: &Field<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    put_text(&field.name, out);
    match &field.value {
        Value::Array(items) => {
            put_long(3, out);
            put_array(items, out, |item, out| put_scalar(item, &field.name, out))
        }
        scalar => put_scalar(scalar, &field.name, out),
    }
}

fn put_scalar(value: &Value<'_>, field: &str, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match value {
        Value::Boolean(truth) => {
            put_long(0, out);
            put_boolean(*truth, out);
        }
        Value::Number { micros } => {
            put_long(1, out);
            put_long(*micros, out);
        }
        Value::String(text) => {
            put_long(2, out);
            put_text(text, out);
        }
        Value::Array(_) => return Err(EncodeError::NestedList { field: field.to_owned() }),
    }
    Ok(())
}

fn put_optional_text(text: Option<&Text<'_>>, out: &mut Vec<u8>) {
    put_optional(text, out, |text, out| put_text(text, out));
}
