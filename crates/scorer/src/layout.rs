//! The bytes of a lead: what the changelog holds and what the committed base keeps in memory.
//!
//! One flat little-endian layout, formats 1 and 2. Instants take six bytes (ms, ±2⁴⁷; the two ends stand for "never").
//! What stands as `n` is a count or a place: one byte in a narrow lead, two in a wide one. Format 2 is narrow unless it
//! is flagged, which it is where anything would not fit; format 1 is wide. Nothing else is different.
//!
//! ```text
//! header   kind u8 · format u8 · flags u16 · epoch u32 · deadline · born · last · seq u32 · stage n
//!          · id bytes n · counts n × 8, u16                                                     42 or 52 bytes
//! id       the lead id
//! then, each if flagged: accepted (if not last) · floor · known since · stage since (if not born)
//!          · erased                                                                                  6 each
//! visit    number u32 · pages u32 · start · last, then if flagged: gap · session u64                  20 to 34
//! then, each if flagged:
//! stay     since · handed over u8                                                                     7
//! clock    stage n · start · steps u8 · answered u8                                                   9, 10
//! value    millionths i64                                                                             8
//! touch    first, last: t · id u64 · which texts u8 · for each: bytes u8 · text                       15 + …
//! ids      absorbed ids u8 · for each: bytes u16 · id                                                 1 + …
//! rare     counts u8 × 6 · cool-downs, holds: stage n · until · clears: score n · t
//!          · verdicts, audiences: place n · alerts: place n · on u8 · fired                           6 + …
//! then, in the order of the counts:
//! latch    stage n · since                                                                            7, 8
//! fact     fact n · ttl u8 · t                                                                        8, 9
//! octave   slot n · age in octaves at `last` u8 · weight u64                                          10, 11
//! event    t · id u64 · set n                                                                         15, 16
//! set      rules u16 · rule u16 …, marked where a visit's beginning matched                           2 + 2 …
//! key      rule n · key u64 · place of its event n, all bits set for one no longer remembered         10, 12
//! stray    t · id u64, for each such key                                                              14
//! summed   place among the keys n · millionths i64                                                    9, 10
//! trait    trait n · t · id u64 · tag u8 · value                                                      16 + …, 17 + …
//! stub     bytes u16 · the id that it was merged into; only there, and nothing else
//! history  bytes, their number being the last of the counts
//! ```
//!
//! Rules, slots, facts, traits, stages and so on are places in the model of the lead's epoch.

mod reader;

use ripen_model::NARROW_PLACES;

use crate::error::StateError;
use crate::evidence::OCTAVES;
use crate::lead::{Key, Lead, NEVER, Standing, TraitValue};
use crate::plan::Plan;
use reader::Reader;

/// The newest version of this layout. Which one is written, the newest switch says.
pub const STATE_FORMAT: u16 = 2;
/// The oldest version that is read.
pub const OLDEST_STATE_FORMAT: u16 = 1;

const KIND_LEAD: u8 = 0;
const KIND_STUB: u8 = 1;
const KIND_ERASED: u8 = 2;
const KIND_SUPPRESSED: u8 = 3;
/// What stands before the stage, the id's length and the counts.
const HEAD_BYTES: usize = 30;
/// Without that of the history's bytes, which is always two bytes wide.
const COUNTS: usize = 8;
const HAS_VISIT: u16 = 1;
const HAS_SESSION: u16 = 1 << 1;
const HAS_GAP: u16 = 1 << 2;
const HAS_FLOOR: u16 = 1 << 3;
const HAS_KNOWN: u16 = 1 << 4;
const HAS_ACCEPTED: u16 = 1 << 5;
const HAS_STAGE_SINCE: u16 = 1 << 6;
const HAS_STAY: u16 = 1 << 7;
const HAS_CLOCK: u16 = 1 << 8;
const HAS_VALUE: u16 = 1 << 9;
const HAS_FIRST_TOUCH: u16 = 1 << 10;
const HAS_LAST_TOUCH: u16 = 1 << 11;
const HAS_RARE: u16 = 1 << 12;
const HAS_ERASED: u16 = 1 << 13;
const HAS_IDS: u16 = 1 << 14;
const IS_WIDE: u16 = 1 << 15;

/// In place of an event: it is not remembered any more, or a visit's beginning. One byte of it is all bits set as well.
const STRAY: u16 = u16::MAX;
const LATEST: i64 = (1 << 47) - 1;
const EARLIEST: i64 = -(1 << 47);

/// What restoring reads of a lead: nothing is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header<'a> {
    pub(crate) deadline_ms: i64,
    /// The model that it was written under.
    pub(crate) epoch: u32,
    pub(crate) lead_id: &'a str,
}

/// Reads a lead's header.
pub(crate) fn header(bytes: &[u8]) -> Result<Header<'_>, StateError> {
    let mut reader = Reader { bytes, at: 0, is_wide: false };
    let kind = reader.u8()?;
    let format = reader.u8()?;
    if !is_known(format.into()) {
        return Err(StateError::Format { format: format.into() });
    }
    if kind > KIND_SUPPRESSED {
        return Err(StateError::Kind { kind });
    }
    reader.is_wide = is_wide(format, reader.u16()?);
    let epoch = reader.u32()?;
    let deadline_ms = reader.instant()?;
    let width = if reader.is_wide { 2 } else { 1 };
    reader.at = HEAD_BYTES + width;
    let id_bytes = usize::from(reader.number()?);
    reader.at += COUNTS * width + 2;
    let lead_id = std::str::from_utf8(reader.take(id_bytes)?).map_err(|_| StateError::Text)?;
    Ok(Header { deadline_ms, epoch, lead_id })
}

/// Whether this version reads a format.
pub(crate) fn is_known(format: u16) -> bool {
    (OLDEST_STATE_FORMAT..=STATE_FORMAT).contains(&format)
}

fn is_wide(format: u8, flags: u16) -> bool {
    format == 1 || flags & IS_WIDE != 0
}

/// Whether the bytes are a lead's, and not what is left of one.
pub(crate) fn is_alive(bytes: &[u8]) -> bool {
    bytes.first() == Some(&KIND_LEAD)
}

/// Room to encode in.
#[derive(Debug, Default)]
pub(crate) struct Encoding {
    pub(crate) bytes: Vec<u8>,
    /// By set: its place among the sets in use.
    places: Vec<Option<u16>>,
    /// The sets in use, in the order of their first use.
    used: Vec<u16>,
    is_wide: bool,
}

impl Encoding {
    /// Encodes a lead whose evidence has been pruned at its `last_ms`.
    pub(crate) fn encode(&mut self, plan: &Plan, format: u16, lead: &Lead) {
        self.bytes.clear();
        self.order_sets(lead);
        self.header(plan, format, lead);
        self.visit(lead);
        self.sales(lead);
        if !lead.ids.is_empty() {
            self.bytes.push(lead.ids.len() as u8);
            lead.ids.iter().for_each(|id| encode_text(id, &mut self.bytes));
        }
        self.rare(lead);
        self.stages(plan, lead);
        self.memory(lead);
        for stored in &lead.traits {
            self.number(stored.ix);
            self.instant(stored.t_ms);
            self.long(stored.id);
            encode_value(&stored.value, &mut self.bytes);
        }
        self.bytes.extend(&lead.history.0);
        if let Standing::MergedInto(parent) = &lead.standing {
            encode_text(parent, &mut self.bytes);
        }
    }

    fn order_sets(&mut self, lead: &Lead) {
        self.places.clear();
        self.used.clear();
        for remembered in &lead.remembered {
            let set = usize::from(remembered.set);
            if self.places.len() <= set {
                self.places.resize(set + 1, None);
            }
            if self.places[set].is_none() {
                self.places[set] = Some(self.used.len() as u16);
                self.used.push(remembered.set);
            }
        }
    }

    fn header(&mut self, plan: &Plan, format: u16, lead: &Lead) {
        let kind = match &lead.standing {
            Standing::Alive => KIND_LEAD,
            Standing::MergedInto(_) => KIND_STUB,
            Standing::Erased { is_suppressed: false } => KIND_ERASED,
            Standing::Erased { is_suppressed: true } => KIND_SUPPRESSED,
        };
        let counts = [
            lead.id.len(),
            lead.latches.len(),
            lead.facts.len(),
            lead.evidence.len(),
            lead.remembered.len(),
            self.used.len(),
            lead.keys.len(),
            lead.keys.iter().filter(|key| key.summed != 0).count(),
            lead.traits.len(),
        ];
        self.is_wide = format == 1 || plan.is_wide || counts.iter().any(|count| *count > NARROW_PLACES);
        self.bytes.extend_from_slice(&[kind, format as u8]);
        let wide = if format > 1 && self.is_wide { IS_WIDE } else { 0 };
        self.bytes.extend_from_slice(&(flags(lead) | wide).to_le_bytes());
        self.bytes.extend_from_slice(&lead.epoch.to_le_bytes());
        self.instant(lead.deadline_ms);
        self.instant(lead.born_ms);
        self.instant(lead.last_ms);
        self.bytes.extend_from_slice(&lead.seq.to_le_bytes());
        debug_assert_eq!(self.bytes.len(), HEAD_BYTES, "what `header` skips");
        self.number(lead.stage);
        for count in counts {
            // Bounded far below 2¹⁶ by the model's bound on a lead's bytes (S20).
            debug_assert!(count < usize::from(STRAY), "bounded by the model");
            self.number(count as u16);
        }
        // Activities fill more bytes than any list has entries.
        self.double(lead.history.0.len() as u16);
        self.bytes.extend(lead.id.as_bytes());
        if lead.accepted_ms != lead.last_ms {
            self.instant(lead.accepted_ms);
        }
        if lead.floor_ms != NEVER {
            self.instant(lead.floor_ms);
        }
        if let Some(since_ms) = lead.known_since_ms {
            self.instant(since_ms);
        }
        if lead.stage_since_ms != lead.born_ms {
            self.instant(lead.stage_since_ms);
        }
        if lead.erased_ms != NEVER {
            self.instant(lead.erased_ms);
        }
    }

    fn visit(&mut self, lead: &Lead) {
        let Some(visit) = &lead.visit else { return };
        self.bytes.extend_from_slice(&visit.number.to_le_bytes());
        self.bytes.extend_from_slice(&visit.pages.to_le_bytes());
        self.instant(visit.start_ms);
        self.instant(visit.last_ms);
        if let Some(gap_ms) = visit.gap_ms {
            self.instant(gap_ms);
        }
        if let Some(session) = visit.session {
            self.long(session);
        }
    }

    fn sales(&mut self, lead: &Lead) {
        if let Some(stay) = &lead.stay {
            self.instant(stay.since_ms);
            self.bytes.push(u8::from(stay.is_handed_over));
        }
        if let Some(clock) = &lead.clock {
            self.number(clock.stage);
            self.instant(clock.start_ms);
            self.bytes.extend_from_slice(&[clock.steps, u8::from(clock.is_answered)]);
        }
        if lead.value_micros != 0 {
            self.bytes.extend_from_slice(&lead.value_micros.to_le_bytes());
        }
        self.bytes.extend(lead.touches.bytes());
    }

    fn rare(&mut self, lead: &Lead) {
        let counts = rare_counts(lead);
        if counts == [0; RARE] {
            return;
        }
        // The model bounds each of them by 255.
        self.bytes.extend(counts.map(|count| count as u8));
        for of in lead.cooldowns.iter().chain(&lead.holds) {
            self.number(of.stage);
            self.instant(of.until_ms);
        }
        for cleared in &lead.clears {
            self.number(cleared.score);
            self.instant(cleared.t_ms);
        }
        for place in lead.verdicts.iter().chain(&lead.audiences) {
            self.number(*place);
        }
        for mark in &lead.alerts {
            self.number(mark.alert);
            self.bytes.push(u8::from(mark.is_on));
            self.instant(mark.fired_ms);
        }
    }

    fn stages(&mut self, plan: &Plan, lead: &Lead) {
        for latch in &lead.latches {
            self.number(latch.stage);
            self.instant(latch.since_ms);
        }
        for mark in &lead.facts {
            self.number(mark.fact);
            self.bytes.push(mark.ttl);
            self.instant(mark.t_ms);
        }
        let mut current = CurrentOctave::at(lead.last_ms);
        for octave in &lead.evidence {
            let age = current.of(plan, octave.slot) - octave.k;
            debug_assert!((0..OCTAVES).contains(&age), "pruned, and nothing is younger than the lead");
            self.number(octave.slot);
            let mut entry = [age as u8; 9];
            entry[1..].copy_from_slice(&octave.weight.to_le_bytes());
            self.bytes.extend_from_slice(&entry);
        }
    }

    fn memory(&mut self, lead: &Lead) {
        for remembered in &lead.remembered {
            self.event(remembered.t_ms, remembered.id);
            self.number(self.places[usize::from(remembered.set)].unwrap_or(0));
        }
        for ix in 0..self.used.len() {
            // Rules may be marked and stand there twice: more than are places of.
            let set = lead.sets.get(self.used[ix]);
            self.double(set.len() as u16);
            set.iter().for_each(|rule| self.double(*rule));
        }
        let place = |key: &Key| lead.remembered.binary_search_by(|r| (r.t_ms, r.id).cmp(&key.order()));
        let mut strays = 0;
        for key in &lead.keys {
            let place = place(key).map_or(STRAY, |place| place as u16);
            strays += usize::from(place == STRAY);
            self.number(key.rule);
            self.long(key.key);
            self.number(place);
        }
        if strays > 0 {
            for key in lead.keys.iter().filter(|key| place(key).is_err()) {
                self.event(key.t_ms, key.id);
            }
        }
        for (place, key) in lead.keys.iter().enumerate().filter(|(_, key)| key.summed != 0) {
            self.number(place as u16);
            self.bytes.extend_from_slice(&key.summed.to_le_bytes());
        }
    }

    /// A count or a place.
    fn number(&mut self, number: u16) {
        if self.is_wide {
            self.double(number);
        } else {
            debug_assert!(usize::from(number) <= NARROW_PLACES || number == STRAY, "{number} does not fit");
            self.bytes.push(number as u8);
        }
    }

    fn double(&mut self, number: u16) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    fn long(&mut self, long: u64) {
        self.bytes.extend_from_slice(&long.to_le_bytes());
    }

    fn instant(&mut self, at_ms: i64) {
        self.bytes.extend_from_slice(&instant(at_ms)[..6]);
    }

    fn event(&mut self, t_ms: i64, id: u64) {
        let mut event = [0; 14];
        event[..8].copy_from_slice(&instant(t_ms));
        event[6..].copy_from_slice(&id.to_le_bytes());
        self.bytes.extend_from_slice(&event);
    }
}

/// Reads a lead's bytes back into `lead`; `plan` is that of the lead's epoch. After an error `lead` is of no use.
pub(crate) fn decode(plan: &Plan, bytes: &[u8], lead: &mut Lead) -> Result<(), StateError> {
    let lead_id = header(bytes)?.lead_id;
    let mut reader = Reader { bytes, at: 1, is_wide: false };
    let (format, flags) = (reader.u8()?, reader.u16()?);
    reader.is_wide = is_wide(format, flags);
    lead.begin(lead_id, 0, reader.u32()?);
    lead.deadline_ms = reader.instant()?;
    lead.born_ms = reader.instant()?;
    lead.last_ms = reader.instant()?;
    lead.seq = reader.u32()?;
    lead.stage = reader.place("stage", plan.model.stages.len())?;
    reader.number()?;
    let mut counts = [0; COUNTS];
    for count in &mut counts {
        *count = usize::from(reader.number()?);
    }
    let history = usize::from(reader.u16()?);
    reader.take(lead_id.len())?;
    let mut flagged = |flag: u16| if flags & flag != 0 { reader.instant().map(Some) } else { Ok(None) };
    lead.accepted_ms = flagged(HAS_ACCEPTED)?.unwrap_or(lead.last_ms);
    lead.floor_ms = flagged(HAS_FLOOR)?.unwrap_or(NEVER);
    lead.known_since_ms = flagged(HAS_KNOWN)?;
    lead.stage_since_ms = flagged(HAS_STAGE_SINCE)?.unwrap_or(lead.born_ms);
    lead.erased_ms = flagged(HAS_ERASED)?.unwrap_or(NEVER);
    if flags & HAS_VISIT != 0 {
        lead.visit = Some(reader.visit(flags)?);
    }
    reader.sales(plan, lead, flags)?;
    if flags & HAS_IDS != 0 {
        let ids = usize::from(reader.u8()?);
        reader.fill(&mut lead.ids, ids, |reader| reader.text().map(Into::into))?;
    }
    if flags & HAS_RARE != 0 {
        reader.rare(plan, lead)?;
    }
    reader.lists(plan, lead, counts)?;
    lead.history.0.extend(reader.take(history)?);
    lead.standing = match bytes[0] {
        KIND_STUB => Standing::MergedInto(reader.text()?.into()),
        KIND_ERASED => Standing::Erased { is_suppressed: false },
        KIND_SUPPRESSED => Standing::Erased { is_suppressed: true },
        _ => Standing::Alive,
    };
    match lead.history.trailing_bytes() + (bytes.len() - reader.at) {
        0 => Ok(()),
        bytes => Err(StateError::Trailing { bytes }),
    }
}

/// Kinds of entries that few leads have.
const RARE: usize = 6;

fn rare_counts(lead: &Lead) -> [usize; RARE] {
    [
        lead.cooldowns.len(),
        lead.holds.len(),
        lead.clears.len(),
        lead.verdicts.len(),
        lead.audiences.len(),
        lead.alerts.len(),
    ]
}

fn flags(lead: &Lead) -> u16 {
    let flag = |is_set: bool, flag: u16| if is_set { flag } else { 0 };
    let visit = lead.visit.as_ref();
    flag(visit.is_some(), HAS_VISIT)
        | flag(visit.is_some_and(|visit| visit.session.is_some()), HAS_SESSION)
        | flag(visit.is_some_and(|visit| visit.gap_ms.is_some()), HAS_GAP)
        | flag(lead.floor_ms != NEVER, HAS_FLOOR)
        | flag(lead.known_since_ms.is_some(), HAS_KNOWN)
        | flag(lead.accepted_ms != lead.last_ms, HAS_ACCEPTED)
        | flag(lead.stage_since_ms != lead.born_ms, HAS_STAGE_SINCE)
        | flag(lead.stay.is_some(), HAS_STAY)
        | flag(lead.clock.is_some(), HAS_CLOCK)
        | flag(lead.value_micros != 0, HAS_VALUE)
        | flag(lead.touches.has_first(), HAS_FIRST_TOUCH)
        | flag(lead.touches.has_newest(), HAS_LAST_TOUCH)
        | flag(rare_counts(lead) != [0; RARE], HAS_RARE)
        | flag(lead.erased_ms != NEVER, HAS_ERASED)
        | flag(!lead.ids.is_empty(), HAS_IDS)
}

/// An instant, the first six bytes of these.
fn instant(at_ms: i64) -> [u8; 8] {
    at_ms.clamp(EARLIEST, LATEST).to_le_bytes()
}

/// The octave of a lead's `last_ms` under a slot's half-life. Slots often share one: dividing is the dear part.
struct CurrentOctave {
    last_ms: i64,
    half_life_ms: i64,
    octave: i64,
}

impl CurrentOctave {
    fn at(last_ms: i64) -> CurrentOctave {
        CurrentOctave { last_ms, half_life_ms: 1, octave: last_ms }
    }

    fn of(&mut self, plan: &Plan, slot: u16) -> i64 {
        let Some(half_life_ms) = plan.slots[usize::from(slot)].half_life_ms else { return 0 };
        if half_life_ms != self.half_life_ms {
            (self.half_life_ms, self.octave) = (half_life_ms, self.last_ms.div_euclid(half_life_ms));
        }
        self.octave
    }
}

const _: () = assert!(OCTAVES <= u8::MAX as i64, "an octave's age fits a byte");

fn encode_value(value: &TraitValue, out: &mut Vec<u8>) {
    match value {
        TraitValue::Boolean(truth) => out.extend([0, u8::from(*truth)]),
        TraitValue::Number(micros) => {
            out.push(1);
            out.extend_from_slice(&micros.to_le_bytes());
        }
        TraitValue::Text(text) => {
            out.push(2);
            encode_text(text, out);
        }
        TraitValue::List(list) => {
            out.push(3);
            out.extend_from_slice(&(list.0.len() as u16).to_le_bytes());
            list.0.iter().for_each(|element| encode_value(element, out));
        }
    }
}

fn encode_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend(text.as_bytes());
}
