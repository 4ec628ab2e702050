//! The bytes of a lead: what the changelog holds and what the committed base keeps in memory.
//!
//! One flat little-endian layout, format 1. Instants take six bytes (ms, ±2⁴⁷; the two ends stand for "never").
//!
//! ```text
//! header   kind u8 · flags u8 · format u16 · epoch u32 · deadline · born · last · accepted · floor · known since
//!          · seq u32 · stage u16 · id bytes u16 · counts u16 × 9                                      70 bytes
//! id       the lead id
//! visit    if flagged: number u32 · pages u32 · start · last · gap · session u64                      34
//! then, in the order of the counts:
//! latch    stage u16 · since                                                                          8
//! fact     fact u16 · ttl u8 · t                                                                      9
//! octave   slot u16 · age in octaves at `last` u8 · weight u64                                        11
//! key      rule u16 · key u64 · t · id u64                                                            24
//! summed   place among the keys u16 · millionths i64                                                  10
//! event    t · id u64 · set u16                                                                       16
//! set      rules u16 · rule u16 …                                                                     2 + 2n
//! trait    trait u16 · t · id u64 · tag u8 · value                                                    17 + n
//! notes    bytes, their number being the last of the counts: id u64 · length u8 · text …
//! ```
//!
//! Rules, slots, facts, traits and stages are places in the model of the lead's epoch.

use crate::error::StateError;
use crate::evidence::{OCTAVES, Octave};
use crate::lead::{
    FactMark, Key, Latch, Lead, Notes, Remembered, RuleSets, StoredTrait, TraitList, TraitValue, Visit,
};
use crate::plan::Plan;

/// The version of this layout.
pub const STATE_FORMAT: u16 = 1;

const KIND_LEAD: u8 = 0;
const HEADER_BYTES: usize = 70;
const HAS_VISIT: u8 = 1;
const HAS_SESSION: u8 = 2;
const HAS_GAP: u8 = 4;
const LATEST: i64 = (1 << 47) - 1;
const EARLIEST: i64 = -(1 << 47);

/// What restoring reads of a lead: nothing is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header<'a> {
    pub(crate) deadline_ms: i64,
    pub(crate) lead_id: &'a str,
}

/// Reads a lead's header.
pub(crate) fn header(bytes: &[u8]) -> Result<Header<'_>, StateError> {
    let mut reader = Reader { bytes, at: 0 };
    let kind = reader.u8()?;
    reader.u8()?;
    let format = reader.u16()?;
    if format != STATE_FORMAT {
        return Err(StateError::Format { format });
    }
    if kind != KIND_LEAD {
        return Err(StateError::Kind { kind });
    }
    reader.u32()?;
    let deadline_ms = reader.instant()?;
    reader.at = HEADER_BYTES - 20;
    let id_bytes = usize::from(reader.u16()?);
    reader.at = HEADER_BYTES;
    let lead_id = std::str::from_utf8(reader.take(id_bytes)?).map_err(|_| StateError::Text)?;
    Ok(Header { deadline_ms, lead_id })
}

/// Appends a lead's bytes.
pub(crate) fn encode(plan: &Plan, lead: &Lead, out: &mut Vec<u8>) {
    let mut evidence = lead.evidence.clone();
    crate::evidence::prune(&mut evidence, &plan.slots, lead.last_ms);
    let summed = lead.keys.iter().filter(|key| key.summed != 0).count();
    let mut sets = RuleSets::default();
    for remembered in &lead.remembered {
        sets.intern(lead.sets.get(remembered.set));
    }
    let mut flags = 0;
    if let Some(visit) = &lead.visit {
        flags |= HAS_VISIT;
        flags |= if visit.session.is_some() { HAS_SESSION } else { 0 };
        flags |= if visit.gap_ms.is_some() { HAS_GAP } else { 0 };
    }
    out.extend([KIND_LEAD, flags]);
    put_u16(out, usize::from(STATE_FORMAT));
    out.extend(lead.epoch.to_le_bytes());
    let known_since_ms = lead.known_since_ms.unwrap_or(i64::MIN);
    let instants =
        [lead.deadline_ms, lead.born_ms, lead.last_ms, lead.accepted_ms, lead.floor_ms, known_since_ms];
    for instant in instants {
        put_instant(out, instant);
    }
    out.extend(lead.seq.to_le_bytes());
    put_u16(out, usize::from(lead.stage));
    put_u16(out, lead.id.len());
    let counts = [
        lead.latches.len(),
        lead.facts.len(),
        evidence.len(),
        lead.keys.len(),
        summed,
        lead.remembered.len(),
        sets.0.len(),
        lead.traits.len(),
        lead.notes.0.len(),
    ];
    for count in counts {
        put_u16(out, count);
    }
    out.extend(lead.id.as_bytes());
    encode_lists(plan, lead, &evidence, &mut sets, out);
}

fn encode_lists(plan: &Plan, lead: &Lead, evidence: &[Octave], sets: &mut RuleSets, out: &mut Vec<u8>) {
    if let Some(visit) = &lead.visit {
        out.extend(visit.number.to_le_bytes());
        out.extend(visit.pages.to_le_bytes());
        put_instant(out, visit.start_ms);
        put_instant(out, visit.last_ms);
        put_instant(out, visit.gap_ms.unwrap_or(0));
        out.extend(visit.session.unwrap_or(0).to_le_bytes());
    }
    for latch in &lead.latches {
        put_u16(out, usize::from(latch.stage));
        put_instant(out, latch.since_ms);
    }
    for mark in &lead.facts {
        put_u16(out, usize::from(mark.fact));
        out.push(mark.ttl);
        put_instant(out, mark.t_ms);
    }
    for octave in evidence {
        put_u16(out, usize::from(octave.slot));
        out.push((current_octave(plan, octave.slot, lead.last_ms) - octave.k) as u8);
        out.extend(octave.weight.to_le_bytes());
    }
    for key in &lead.keys {
        put_u16(out, usize::from(key.rule));
        out.extend(key.key.to_le_bytes());
        put_instant(out, key.t_ms);
        out.extend(key.id.to_le_bytes());
    }
    for (place, key) in lead.keys.iter().enumerate().filter(|(_, key)| key.summed != 0) {
        put_u16(out, place);
        out.extend(key.summed.to_le_bytes());
    }
    for remembered in &lead.remembered {
        put_instant(out, remembered.t_ms);
        out.extend(remembered.id.to_le_bytes());
        put_u16(out, usize::from(sets.intern(lead.sets.get(remembered.set))));
    }
    for set in &sets.0 {
        put_u16(out, set.len());
        set.iter().for_each(|rule| put_u16(out, usize::from(*rule)));
    }
    for stored in &lead.traits {
        put_u16(out, usize::from(stored.ix));
        put_instant(out, stored.t_ms);
        out.extend(stored.id.to_le_bytes());
        encode_value(&stored.value, out);
    }
    out.extend(&lead.notes.0);
}

/// Reads a lead's bytes back; `plan` is that of the lead's epoch.
pub(crate) fn decode(plan: &Plan, bytes: &[u8]) -> Result<Lead, StateError> {
    let lead_id = header(bytes)?.lead_id;
    let mut reader = Reader { bytes, at: 1 };
    let flags = reader.u8()?;
    reader.u16()?;
    let mut lead = Lead::new(lead_id, 0, reader.u32()?);
    lead.deadline_ms = reader.instant()?;
    lead.born_ms = reader.instant()?;
    lead.last_ms = reader.instant()?;
    lead.accepted_ms = reader.instant()?;
    lead.floor_ms = reader.instant()?;
    lead.known_since_ms = Some(reader.instant()?).filter(|since_ms| *since_ms != i64::MIN);
    lead.seq = reader.u32()?;
    lead.stage = reader.place("stage", plan.model.stages.len())?;
    reader.u16()?;
    let mut counts = [0; 9];
    for count in &mut counts {
        *count = usize::from(reader.u16()?);
    }
    reader.take(lead_id.len())?;
    let [latches, facts, evidence, keys, summed, remembered, sets, traits, notes] = counts;
    if flags & HAS_VISIT != 0 {
        lead.visit = Some(reader.visit(flags)?);
    }
    lead.latches = reader.list(latches, |r| {
        Ok(Latch { stage: r.place("stage", plan.model.stages.len())?, since_ms: r.instant()? })
    })?;
    lead.facts = reader.list(facts, |r| {
        Ok(FactMark { fact: r.place("fact", plan.model.facts.len())?, ttl: r.u8()?, t_ms: r.instant()? })
    })?;
    let last_ms = lead.last_ms;
    lead.evidence = reader.list(evidence, |r| {
        let slot = r.place("slot", plan.slots.len())?;
        let k = current_octave(plan, slot, last_ms) - i64::from(r.u8()?);
        Ok(Octave { slot, k, weight: r.u64()? })
    })?;
    lead.keys = reader.list(keys, |r| {
        let rule = r.place("rule", plan.model.rules.len())?;
        Ok(Key { rule, key: r.u64()?, t_ms: r.instant()?, id: r.u64()?, summed: 0 })
    })?;
    for _ in 0..summed {
        let place = usize::from(reader.place("key", keys)?);
        lead.keys[place].summed = reader.u64()? as i64;
    }
    lead.remembered = reader.list(remembered, |r| {
        Ok(Remembered { t_ms: r.instant()?, id: r.u64()?, set: r.place("set", sets)? })
    })?;
    lead.sets = RuleSets(reader.list(sets, |r| {
        let rules = usize::from(r.u16()?);
        Ok(r.list(rules, Reader::u16)?.into_boxed_slice())
    })?);
    lead.traits = reader.list(traits, |r| {
        let ix = r.place("trait", plan.model.traits.len())?;
        Ok(StoredTrait { ix, t_ms: r.instant()?, id: r.u64()?, value: r.value()? })
    })?;
    lead.notes = Notes(reader.take(notes)?.to_vec());
    match bytes.len() - reader.at {
        0 => Ok(lead),
        bytes => Err(StateError::Trailing { bytes }),
    }
}

fn current_octave(plan: &Plan, slot: u16, last_ms: i64) -> i64 {
    plan.slots[usize::from(slot)].half_life_ms.map_or(0, |half_life_ms| last_ms.div_euclid(half_life_ms))
}

const _: () = assert!(OCTAVES <= u8::MAX as i64, "an octave's age fits a byte");

fn encode_value(value: &TraitValue, out: &mut Vec<u8>) {
    match value {
        TraitValue::Boolean(truth) => out.extend([0, u8::from(*truth)]),
        TraitValue::Number(micros) => {
            out.push(1);
            out.extend(micros.to_le_bytes());
        }
        TraitValue::Text(text) => {
            out.push(2);
            put_u16(out, text.len());
            out.extend(text.as_bytes());
        }
        TraitValue::List(list) => {
            out.push(3);
            put_u16(out, list.0.len());
            list.0.iter().for_each(|element| encode_value(element, out));
        }
    }
}

/// Lists are bounded far below 2¹⁶ by the model's bound on a lead's bytes (S20).
fn put_u16(out: &mut Vec<u8>, value: usize) {
    debug_assert!(value <= usize::from(u16::MAX), "bounded by the model");
    out.extend((value as u16).to_le_bytes());
}

fn put_instant(out: &mut Vec<u8>, at_ms: i64) {
    out.extend(&at_ms.clamp(EARLIEST, LATEST).to_le_bytes()[..6]);
}

/// Reads forward over bytes that may be anything.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8], StateError> {
        let taken = self.bytes.get(self.at..self.at + bytes);
        self.at += bytes;
        taken.ok_or(StateError::Truncated { bytes: self.bytes.len() })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], StateError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u8(&mut self) -> Result<u8, StateError> {
        Ok(self.array::<1>()?[0])
    }

    fn u16(&mut self) -> Result<u16, StateError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32, StateError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, StateError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn instant(&mut self) -> Result<i64, StateError> {
        let six: [u8; 6] = self.array()?;
        let mut eight = [0; 8];
        eight[2..].copy_from_slice(&six);
        // Shifting back down carries the sign.
        Ok(match i64::from_le_bytes(eight) >> 16 {
            LATEST => i64::MAX,
            EARLIEST => i64::MIN,
            at_ms => at_ms,
        })
    }

    fn place(&mut self, what: &'static str, len: usize) -> Result<u16, StateError> {
        let ix = self.u16()?;
        if usize::from(ix) < len { Ok(ix) } else { Err(StateError::Unknown { what, ix: u64::from(ix) }) }
    }

    fn list<T>(
        &mut self,
        len: usize,
        mut read: impl FnMut(&mut Self) -> Result<T, StateError>,
    ) -> Result<Vec<T>, StateError> {
        // Every element takes a byte or more: a lying count cannot make this large.
        let mut list = Vec::with_capacity(len.min(self.bytes.len()));
        for _ in 0..len {
            list.push(read(self)?);
        }
        Ok(list)
    }

    fn visit(&mut self, flags: u8) -> Result<Visit, StateError> {
        let (number, pages) = (self.u32()?, self.u32()?);
        let (start_ms, last_ms, gap_ms) = (self.instant()?, self.instant()?, self.instant()?);
        let session = self.u64()?;
        Ok(Visit {
            number,
            pages,
            start_ms,
            last_ms,
            gap_ms: (flags & HAS_GAP != 0).then_some(gap_ms),
            session: (flags & HAS_SESSION != 0).then_some(session),
        })
    }

    fn text(&mut self) -> Result<&'a str, StateError> {
        let bytes = usize::from(self.u16()?);
        std::str::from_utf8(self.take(bytes)?).map_err(|_| StateError::Text)
    }

    fn value(&mut self) -> Result<TraitValue, StateError> {
        let tag = self.u8()?;
        if tag != 3 {
            return self.scalar(tag);
        }
        let elements = usize::from(self.u16()?);
        let element = |r: &mut Self| {
            let tag = r.u8()?;
            r.scalar(tag)
        };
        Ok(TraitValue::List(TraitList(self.list(elements, element)?)))
    }

    fn scalar(&mut self, tag: u8) -> Result<TraitValue, StateError> {
        match tag {
            0 => Ok(TraitValue::Boolean(self.u8()? != 0)),
            1 => Ok(TraitValue::Number(self.u64()? as i64)),
            2 => Ok(TraitValue::Text(self.text()?.into())),
            tag => Err(StateError::Unknown { what: "value tag", ix: u64::from(tag) }),
        }
    }
}
