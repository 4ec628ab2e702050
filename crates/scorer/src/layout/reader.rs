//! Reads a lead's bytes forward, whatever they are.

use ripen_model::Model;

use super::{
    COUNTS, CurrentOctave, EARLIEST, HAS_CLOCK, HAS_FIRST_TOUCH, HAS_GAP, HAS_LAST_TOUCH, HAS_SESSION,
    HAS_STAY, HAS_VALUE, LATEST, RARE, STRAY,
};
use crate::error::StateError;
use crate::evidence::Octave;
use crate::lead::{
    AlertMark, Cleared, Clock, FactMark, Key, Latch, Lead, NEVER, Remembered, StageUntil, Stay, StoredTrait,
    TraitList, TraitValue, Visit,
};
use crate::plan::Plan;
use crate::touches::Touch;

/// Reads forward over bytes that may be anything.
pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
    /// Whether counts and places take two bytes.
    pub(super) is_wide: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, bytes: usize) -> Result<&'a [u8], StateError> {
        let taken = self.bytes.get(self.at..self.at + bytes);
        self.at += bytes;
        taken.ok_or(StateError::Truncated { bytes: self.bytes.len() })
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], StateError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(super) fn u8(&mut self) -> Result<u8, StateError> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, StateError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, StateError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, StateError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(super) fn instant(&mut self) -> Result<i64, StateError> {
        let six: [u8; 6] = self.array()?;
        let mut eight = [0; 8];
        eight[2..].copy_from_slice(&six);
        Ok(instant(u64::from_le_bytes(eight)))
    }

    /// An instant and an id.
    fn event(&mut self) -> Result<(i64, u64), StateError> {
        let event: [u8; 14] = self.array()?;
        let (mut t, mut id) = ([0; 8], [0; 8]);
        t.copy_from_slice(&event[..8]);
        id.copy_from_slice(&event[6..]);
        Ok((instant(u64::from_le_bytes(t) << 16), u64::from_le_bytes(id)))
    }

    /// A count or a place.
    pub(super) fn number(&mut self) -> Result<u16, StateError> {
        if self.is_wide { self.u16() } else { self.u8().map(u16::from) }
    }

    pub(super) fn place(&mut self, what: &'static str, len: usize) -> Result<u16, StateError> {
        let ix = self.number()?;
        if usize::from(ix) < len { Ok(ix) } else { Err(StateError::Unknown { what, ix: u64::from(ix) }) }
    }

    pub(super) fn lists(
        &mut self,
        plan: &Plan,
        lead: &mut Lead,
        counts: [usize; COUNTS],
    ) -> Result<(), StateError> {
        let [latches, facts, evidence, remembered, sets, keys, summed, traits] = counts;
        let Model { stages, facts: known_facts, rules, traits: known_traits, .. } = &*plan.model;
        self.fill(&mut lead.latches, latches, |r| {
            Ok(Latch { stage: r.place("stage", stages.len())?, since_ms: r.instant()? })
        })?;
        self.fill(&mut lead.facts, facts, |r| {
            Ok(FactMark { fact: r.place("fact", known_facts.len())?, ttl: r.u8()?, t_ms: r.instant()? })
        })?;
        let mut current = CurrentOctave::at(lead.last_ms);
        self.fill(&mut lead.evidence, evidence, |r| {
            let slot = r.place("slot", plan.slots.len())?;
            let [age, weight @ ..] = r.array::<9>()?;
            let k = current.of(plan, slot) - i64::from(age);
            Ok(Octave { slot, k, weight: u64::from_le_bytes(weight) })
        })?;
        self.fill(&mut lead.remembered, remembered, |r| {
            let (t_ms, id) = r.event()?;
            Ok(Remembered { t_ms, id, set: r.place("set", sets)? })
        })?;
        for _ in 0..sets {
            let rules = self.u16()?;
            lead.sets.0.push(rules);
            let rules = self.take(usize::from(rules) * 2)?;
            lead.sets.0.extend(rules.as_chunks().0.iter().map(|rule| u16::from_le_bytes(*rule)));
        }
        let mut strays = 0;
        let stray = if self.is_wide { STRAY } else { STRAY & 0xff };
        let events = &lead.remembered;
        self.fill(&mut lead.keys, keys, |r| {
            let (rule, key, place) = (r.place("rule", rules.len())?, r.u64()?, r.number()?);
            if place == stray {
                strays += 1;
                return Ok(Key { rule, key, t_ms: NEVER, id: 0, summed: 0 });
            }
            let unknown = StateError::Unknown { what: "event", ix: u64::from(place) };
            let event = events.get(usize::from(place)).ok_or(unknown)?;
            Ok(Key { rule, key, t_ms: event.t_ms, id: event.id, summed: 0 })
        })?;
        if strays > 0 {
            for key in lead.keys.iter_mut().filter(|key| key.t_ms == NEVER) {
                (key.t_ms, key.id) = self.event()?;
            }
        }
        for _ in 0..summed {
            let place = usize::from(self.place("key", keys)?);
            lead.keys[place].summed = self.u64()? as i64;
        }
        self.fill(&mut lead.traits, traits, |r| {
            let ix = r.place("trait", known_traits.len())?;
            Ok(StoredTrait { ix, t_ms: r.instant()?, id: r.u64()?, value: r.value()? })
        })?;
        Ok(())
    }

    pub(super) fn fill<T>(
        &mut self,
        list: &mut Vec<T>,
        len: usize,
        mut read: impl FnMut(&mut Self) -> Result<T, StateError>,
    ) -> Result<(), StateError> {
        list.clear();
        // Every element takes a byte or more: a lying count cannot make this large.
        list.reserve(len.min(self.bytes.len()));
        for _ in 0..len {
            list.push(read(self)?);
        }
        Ok(())
    }

    pub(super) fn visit(&mut self, flags: u16) -> Result<Visit, StateError> {
        Ok(Visit {
            number: self.u32()?,
            pages: self.u32()?,
            start_ms: self.instant()?,
            last_ms: self.instant()?,
            gap_ms: if flags & HAS_GAP != 0 { Some(self.instant()?) } else { None },
            session: if flags & HAS_SESSION != 0 { Some(self.u64()?) } else { None },
        })
    }

    pub(super) fn sales(&mut self, plan: &Plan, lead: &mut Lead, flags: u16) -> Result<(), StateError> {
        if flags & HAS_STAY != 0 {
            lead.stay = Some(Stay { since_ms: self.instant()?, is_handed_over: self.u8()? != 0 });
        }
        if flags & HAS_CLOCK != 0 {
            lead.clock = Some(Clock {
                stage: self.place("stage", plan.model.stages.len())?,
                start_ms: self.instant()?,
                steps: self.u8()?,
                is_answered: self.u8()? != 0,
            });
        }
        if flags & HAS_VALUE != 0 {
            lead.value_micros = self.u64()? as i64;
        }
        let first = if flags & HAS_FIRST_TOUCH != 0 { self.touch()? } else { &[] };
        let newest = if flags & HAS_LAST_TOUCH != 0 { self.touch()? } else { &[] };
        lead.touches.set(first, newest);
        Ok(())
    }

    /// The bytes of one touch, whose texts are looked at.
    pub(super) fn touch(&mut self) -> Result<&'a [u8], StateError> {
        let from = self.at;
        self.take(Touch::HEAD_BYTES)?;
        let present = self.u8()?;
        for _ in (0..Touch::TEXTS).filter(|ix| present & (1 << ix) != 0) {
            let bytes = usize::from(self.u8()?);
            std::str::from_utf8(self.take(bytes)?).map_err(|_| StateError::Text)?;
        }
        Ok(&self.bytes[from..self.at])
    }

    pub(super) fn rare(&mut self, plan: &Plan, lead: &mut Lead) -> Result<(), StateError> {
        let [cooldowns, holds, clears, verdicts, audiences, alerts] = self.array::<RARE>()?.map(usize::from);
        let model = &plan.model;
        let stage_until = |r: &mut Self| {
            Ok(StageUntil { stage: r.place("stage", model.stages.len())?, until_ms: r.instant()? })
        };
        self.fill(&mut lead.cooldowns, cooldowns, stage_until)?;
        self.fill(&mut lead.holds, holds, stage_until)?;
        self.fill(&mut lead.clears, clears, |r| {
            Ok(Cleared { score: r.place("score", model.scores.len())?, t_ms: r.instant()? })
        })?;
        self.fill(&mut lead.verdicts, verdicts, |r| r.place("verdict", model.verdicts.len()))?;
        self.fill(&mut lead.audiences, audiences, |r| r.place("audience", model.audiences.len()))?;
        self.fill(&mut lead.alerts, alerts, |r| {
            let alert = r.place("alert", model.alerts.len())?;
            Ok(AlertMark { alert, is_on: r.u8()? != 0, fired_ms: r.instant()? })
        })
    }

    pub(super) fn text(&mut self) -> Result<&'a str, StateError> {
        let bytes = usize::from(self.u16()?);
        std::str::from_utf8(self.take(bytes)?).map_err(|_| StateError::Text)
    }

    pub(super) fn value(&mut self) -> Result<TraitValue, StateError> {
        let tag = self.u8()?;
        if tag != 3 {
            return self.scalar(tag);
        }
        let elements = usize::from(self.u16()?);
        let element = |r: &mut Self| {
            let tag = r.u8()?;
            r.scalar(tag)
        };
        let mut list = Vec::new();
        self.fill(&mut list, elements, element)?;
        Ok(TraitValue::List(TraitList(list)))
    }

    pub(super) fn scalar(&mut self, tag: u8) -> Result<TraitValue, StateError> {
        match tag {
            0 => Ok(TraitValue::Boolean(self.u8()? != 0)),
            1 => Ok(TraitValue::Number(self.u64()? as i64)),
            2 => Ok(TraitValue::Text(self.text()?.into())),
            tag => Err(StateError::Unknown { what: "value tag", ix: u64::from(tag) }),
        }
    }
}

/// The instant in the upper six bytes.
fn instant(bytes: u64) -> i64 {
    // Shifting back down carries the sign.
    match bytes as i64 >> 16 {
        LATEST => i64::MAX,
        EARLIEST => i64::MIN,
        at_ms => at_ms,
    }
}
