//! Byte storage for many records at once: one buffer, many spans, no allocation per record.

use crate::record::Headers;

/// Where a byte string lies in the buffer; `len == ABSENT` says that there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    len: u32,
}

const ABSENT: u32 = u32::MAX;

/// Spans of one header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeaderSpan {
    pub(crate) name: Span,
    pub(crate) value: Span,
}

/// Spans of one record's payload; headers are a range in the arena's header list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Payload {
    key: Span,
    value: Span,
    headers_start: u32,
    headers_len: u32,
}

/// The buffer and the header list.
///
/// Holds at most 4 GiB: batches and transactions are bounded far below by their own limits.
#[derive(Debug, Default, Clone)]
pub(crate) struct Arena {
    bytes: Vec<u8>,
    headers: Vec<HeaderSpan>,
}

impl Arena {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.headers.clear();
    }

    pub(crate) fn bytes_len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn put<'h>(
        &mut self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl Iterator<Item = (&'h str, Option<&'h [u8]>)>,
    ) -> Payload {
        let key = self.span(key);
        let value = self.span(value);
        let headers_start = self.headers.len() as u32;
        for (name, header_value) in headers {
            let name = self.span(Some(name.as_bytes()));
            let value = self.span(header_value);
            self.headers.push(HeaderSpan { name, value });
        }
        Payload { key, value, headers_start, headers_len: self.headers.len() as u32 - headers_start }
    }

    pub(crate) fn key(&self, payload: &Payload) -> Option<&[u8]> {
        slice(&self.bytes, payload.key)
    }

    pub(crate) fn value(&self, payload: &Payload) -> Option<&[u8]> {
        slice(&self.bytes, payload.value)
    }

    pub(crate) fn headers(&self, payload: &Payload) -> Headers<'_> {
        let start = payload.headers_start as usize;
        Headers::packed(&self.bytes, &self.headers[start..start + payload.headers_len as usize])
    }

    fn span(&mut self, part: Option<&[u8]>) -> Span {
        let start = self.bytes.len() as u32;
        match part {
            None => Span { start, len: ABSENT },
            Some(part) => {
                assert!(self.bytes.len() + part.len() < ABSENT as usize, "an arena holds less than 4 GiB");
                self.bytes.extend_from_slice(part);
                Span { start, len: part.len() as u32 }
            }
        }
    }
}

pub(crate) fn slice(bytes: &[u8], span: Span) -> Option<&[u8]> {
    (span.len != ABSENT).then(|| &bytes[span.start as usize..(span.start + span.len) as usize])
}
