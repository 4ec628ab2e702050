//! Pages and campaigns from URLs. Only what a model can read is taken apart; this is no URL parser: what
//! browsers and trackers write is far from the standard, and nothing here may fail.

use std::borrow::Cow;

use memchr::{memchr, memchr2, memrchr};

use crate::bounds::{HOST_BYTES, PATH_BYTES, URL_BYTES, cut};
use crate::privacy::Addresses;

/// A URL in its parts, as they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Url<'a> {
    /// Scheme and `//`, or nothing.
    scheme: &'a str,
    /// Name and password before the host, `@` included.
    user: &'a str,
    /// Host and port.
    authority: &'a str,
    path: &'a str,
    /// Without its `?`.
    query: &'a str,
    /// With its `#`.
    fragment: &'a str,
}

impl<'a> Url<'a> {
    fn split(text: &'a str) -> Url<'a> {
        let text = text.trim_ascii();
        let (text, fragment) = text.split_at(memchr(b'#', text.as_bytes()).unwrap_or(text.len()));
        let (text, query) = match memchr(b'?', text.as_bytes()) {
            Some(at) => (&text[..at], &text[at + 1..]),
            None => (text, ""),
        };
        let (scheme, rest) = text.split_at(scheme_bytes(text));
        if scheme.is_empty() {
            return Url { path: rest, query, fragment, ..Url::default() };
        }
        let (authority, path) = rest.split_at(memchr(b'/', rest.as_bytes()).unwrap_or(rest.len()));
        let (user, authority) =
            authority.split_at(memrchr(b'@', authority.as_bytes()).map_or(0, |at| at + 1));
        Url { scheme, user, authority, path, query, fragment }
    }

    /// The host in lower case, without its port.
    fn host(&self) -> Option<Cow<'a, str>> {
        let end = match memrchr(b':', self.authority.as_bytes()) {
            Some(colon) if self.authority[colon + 1..].bytes().all(|b| b.is_ascii_digit()) => colon,
            _ => self.authority.len(),
        };
        let host = &self.authority[..end];
        if host.is_empty() {
            return None;
        }
        let plain = host.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase());
        Some(cut(if plain { host.into() } else { host.to_lowercase().into() }, HOST_BYTES))
    }

    /// The normalised path: `/` for a URL without one.
    fn path(&self, addresses: Addresses) -> Cow<'a, str> {
        normalise(self.path, addresses)
    }

    /// The URL without what is personal in it: a name before the host, addresses anywhere, and the values of
    /// parameters that are named after an e-mail or a phone.
    fn clean(&self, text: &'a str, addresses: Addresses) -> Cow<'a, str> {
        let text = if self.user.is_empty() && !parameters(self.query).any(|(name, _)| is_personal(name)) {
            Cow::Borrowed(text)
        } else {
            let mut clean = format!("{}{}{}", self.scheme, self.authority, self.path);
            for (place, pair) in self.query.split('&').filter(|pair| !pair.is_empty()).enumerate() {
                clean.push(if place == 0 { '?' } else { '&' });
                let kept = pair.split_once('=').filter(|(name, _)| is_personal(name));
                match kept {
                    Some((name, _)) => clean.extend([name, "="]),
                    None => clean.push_str(pair),
                }
            }
            clean.push_str(self.fragment);
            Cow::Owned(clean)
        };
        cut(addresses.cut_from(text), URL_BYTES)
    }
}

/// The path as models match it: scheme, host, query and fragment cut, percent-decoded once, `//` collapsed,
/// the trailing `/` cut (`/` itself stays), case kept. Addresses within it are cut, too.
pub fn normalise_path(path: &str) -> Cow<'_, str> {
    normalised_path(path, Addresses::of(path))
}

/// [`normalise_path`] of a path from a record that is known to hold addresses or not to.
pub(crate) fn normalised_path(path: &str, addresses: Addresses) -> Cow<'_, str> {
    let path = path.trim_ascii();
    // A path field's own `//a` is a path; only a scheme makes the next part a host.
    if !path.starts_with('/') && scheme_bytes(path) > 0 {
        return Url::split(path).path(addresses);
    }
    normalise(&path[..memchr2(b'?', b'#', path.as_bytes()).unwrap_or(path.len())], addresses)
}

/// The named parameters of a query (`?` in front or not), in its order; values as they stand.
pub(crate) fn parameters(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let query = query.strip_prefix('?').unwrap_or(query);
    query.split('&').filter(|pair| !pair.is_empty()).filter_map(|pair| pair.split_once('='))
}

/// A parameter's value with `+` and `%XX` decoded.
pub(crate) fn decoded_value(value: &str) -> Cow<'_, str> {
    if value.contains('+') {
        Cow::Owned(percent_decoded(&value.replace('+', " ")).into_owned())
    } else {
        percent_decoded(value)
    }
}

/// What an activity needs of a page's URL, from one look at it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct PageUrl<'a> {
    pub(crate) clean: Option<Cow<'a, str>>,
    pub(crate) host: Option<Cow<'a, str>>,
    pub(crate) path: Option<Cow<'a, str>>,
    pub(crate) query: Cow<'a, str>,
}

/// Which parts of a URL are needed beside its query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UrlParts {
    pub(crate) clean: bool,
    pub(crate) host: bool,
    pub(crate) path: bool,
}

impl<'a> PageUrl<'a> {
    pub(crate) fn new(url: Cow<'a, str>, parts: UrlParts, addresses: Addresses) -> PageUrl<'a> {
        match url {
            Cow::Borrowed(url) => PageUrl::of(url, parts, addresses),
            Cow::Owned(url) => PageUrl::of(&url, parts, addresses).into_owned(),
        }
    }

    fn of(text: &'a str, parts: UrlParts, addresses: Addresses) -> PageUrl<'a> {
        if !(parts.clean || parts.path || addresses.are_possible()) && memchr(b'?', text.as_bytes()).is_none()
        {
            match plain_host(text) {
                _ if !parts.host => return PageUrl::default(),
                Some(host) => return PageUrl { host: Some(host.into()), ..PageUrl::default() },
                None => {}
            }
        }
        let url = Url::split(text);
        PageUrl {
            clean: parts.clean.then(|| url.clean(text, addresses)),
            host: if parts.host { url.host() } else { None },
            path: parts.path.then(|| url.path(addresses)),
            query: url.query.into(),
        }
    }

    fn into_owned(self) -> PageUrl<'static> {
        PageUrl {
            clean: self.clean.map(|clean| clean.into_owned().into()),
            host: self.host.map(|host| host.into_owned().into()),
            path: self.path.map(|path| path.into_owned().into()),
            query: self.query.into_owned().into(),
        }
    }
}

/// The host of a URL that nothing has to be done to, as nearly all are.
fn plain_host(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-');
    let end = rest.bytes().position(|b| !is_plain(b)).unwrap_or(rest.len());
    let ends = matches!(rest.as_bytes().get(end), None | Some(b'/'));
    (ends && (1..=HOST_BYTES).contains(&end)).then(|| &rest[..end])
}

/// The referrer without what is personal in it.
pub(crate) fn clean_url(url: Cow<'_, str>, addresses: Addresses) -> Cow<'_, str> {
    match url {
        // Neither an address nor a name before the host, nor parameters.
        url if !addresses.are_possible() && memchr(b'?', url.as_bytes()).is_none() => cut(url, URL_BYTES),
        Cow::Borrowed(url) => Url::split(url).clean(url, addresses),
        Cow::Owned(url) => Cow::Owned(Url::split(&url).clean(&url, addresses).into_owned()),
    }
}

fn normalise(path: &str, addresses: Addresses) -> Cow<'_, str> {
    let path = if addresses.are_possible() { addresses.cut_from(percent_decoded(path)) } else { path.into() };
    let bytes = path.as_bytes();
    let doubled = || bytes.windows(2).any(|pair| pair == b"//");
    let clean = bytes.first() == Some(&b'/') && (bytes.len() == 1 || !bytes.ends_with(b"/")) && !doubled();
    if clean {
        return cut(path, PATH_BYTES);
    }
    let mut normal = String::with_capacity(path.len() + 1);
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        normal.push('/');
        normal.push_str(segment);
    }
    if normal.is_empty() {
        normal.push('/');
    }
    cut(Cow::Owned(normal), PATH_BYTES)
}

/// `%XX` decoded once. What would not be UTF-8 afterwards stays as it is, as a whole.
fn percent_decoded(text: &str) -> Cow<'_, str> {
    if memchr(b'%', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let hex = |b: u8| char::from(b).to_digit(16);
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair = (bytes[at] == b'%').then(|| bytes.get(at + 1..at + 3)).flatten();
        match pair.and_then(|pair| Some(hex(pair[0])? * 16 + hex(pair[1])?)) {
            Some(byte) => {
                decoded.push(byte as u8);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// How many bytes `https://` and its like take in front; 0 if there is none.
fn scheme_bytes(text: &str) -> usize {
    if text.starts_with("//") {
        return 2;
    }
    let is_scheme_byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    let scheme = text.bytes().take_while(|b| is_scheme_byte(*b)).count();
    if scheme > 0 && text[scheme..].starts_with("://") { scheme + 3 } else { 0 }
}

fn is_personal(parameter: &str) -> bool {
    // Nearly every name ends here.
    if !matches!(parameter.as_bytes().first(), Some(b'e' | b'E' | b'm' | b'M' | b'p' | b'P' | b't' | b'T')) {
        return false;
    }
    const NAMES: [&str; 9] =
        ["email", "e-mail", "e_mail", "mail", "phone", "tel", "telephone", "mobile", "phone_number"];
    NAMES.iter().any(|name| name.eq_ignore_ascii_case(parameter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalised() {
        for (path, expect) in [
            ("/", "/"),
            ("", "/"),
            ("//", "/"),
            ("/models/a", "/models/a"),
            ("/models/a/", "/models/a"),
            ("//models///a//", "/models/a"),
            ("/Models/A", "/Models/A"),
            ("models/a", "/models/a"),
            ("/models/a?x=/y#z", "/models/a"),
            ("/models/a#/b?c", "/models/a"),
            ("/caf%C3%A9", "/café"),
            ("/a%2Fb", "/a/b"),
            ("/a%252Fb", "/a%2Fb"),
            ("/%E0%F1", "/%E0%F1"),
            ("/100%", "/100%"),
            ("/a+b", "/a+b"),
            ("https://shop.example/models/a/?x=1", "/models/a"),
            ("https://shop.example", "/"),
            ("/go/https://other.example/x", "/go/https:/other.example/x"),
            ("/unsubscribe/jane%40shop.example", "/unsubscribe"),
        ] {
            assert_eq!(normalise_path(path), expect, "{path}");
        }
    }

    #[test]
    fn urls_are_taken_apart() {
        for (url, host, path, query) in [
            ("https://Shop.Example:8443/a/?b=1#c", Some("shop.example"), "/a", "b=1"),
            ("//shop.example/a", Some("shop.example"), "/a", ""),
            ("https://shop.example/a#b", Some("shop.example"), "/a", ""),
            ("http://shop.example", Some("shop.example"), "/", ""),
            ("https://shop.example#a/b", Some("shop.example"), "/", ""),
            ("https:///a", None, "/a", ""),
            ("https://[::1]:8443/a", Some("[::1]"), "/a", ""),
            ("https://jane:pw@shop.example/a", Some("shop.example"), "/a", ""),
            ("https://shop.example?x=//y", Some("shop.example"), "/", "x=//y"),
            ("/a//b", None, "/a/b", ""),
            ("android-app://com.example.shop/", Some("com.example.shop"), "/", ""),
        ] {
            let split = Url::split(url);
            assert_eq!(split.host().as_deref(), host, "{url}");
            let parts = UrlParts { clean: false, host: true, path: false };
            let of = PageUrl::new(url.into(), parts, Addresses::of(url));
            assert_eq!((of.host.as_deref(), &*of.query), (host, query), "{url}");
            assert_eq!(split.path(Addresses::of(url)), path, "{url}");
            assert_eq!(split.query, query, "{url}");
        }
    }

    #[test]
    fn query_parameters_are_decoded() {
        let first =
            |query| parameters(query).find(|(name, value)| *name == "utm_source" && !value.is_empty());
        for (query, expect) in [
            ("utm_source=a", Some("a")),
            ("?utm_source=a", Some("a")),
            ("x=1&utm_source=a+b%2Bc%21", Some("a b+c!")),
            ("utm_source=a&utm_source=b", Some("a")),
            ("utm_source=", None),
            ("utm_source", None),
            ("xutm_source=a", None),
            ("utm_source=%D1%8F", Some("я")),
            ("utm_source=%FF", Some("%FF")),
        ] {
            let value = first(query).map(|(_, value)| decoded_value(value));
            assert_eq!(value.as_deref(), expect, "{query}");
        }
    }

    #[test]
    fn urls_leave_without_personal_values() {
        for (url, expect) in [
            ("https://shop.example/a?b=c", "https://shop.example/a?b=c"),
            ("https://shop.example/?email=jane%40shop.example&b=c", "https://shop.example/?email=&b=c"),
            ("https://shop.example/?who=jane@shop.example", "https://shop.example/?who="),
            ("https://shop.example/?Phone=%2B12025550100&b#f", "https://shop.example/?Phone=&b#f"),
            ("https://jane:pw@shop.example/a", "https://shop.example/a"),
            ("https://shop.example/u/jane@shop.example/x", "https://shop.example/u//x"),
        ] {
            assert_eq!(Url::split(url).clean(url, Addresses::of(url)), expect, "{url}");
        }
    }
}
