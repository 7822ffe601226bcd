//! Decodes requirements files: UTF-8, also with a byte order mark, and UTF-16, which PowerShell writes.
//! Source: <https://pip.pypa.io/en/stable/reference/requirements-file-format/#encoding>

/// Returns the text of a requirements file, or `None` if it is in no encoding that pip reads.
pub fn decoded(bytes: &[u8]) -> Option<String> {
    let wide = |bytes: &[u8], big: bool| {
        let pairs = bytes.chunks(2).map(|pair| match (pair, big) {
            ([a, b], false) => u16::from_le_bytes([*a, *b]),
            ([a, b], true) => u16::from_be_bytes([*a, *b]),
            _ => 0xFFFD,
        });
        String::from_utf16(&pairs.collect::<Vec<u16>>()).ok()
    };
    match bytes {
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        [0xFF, 0xFE, rest @ ..] => wide(rest, false),
        [0xFE, 0xFF, rest @ ..] => wide(rest, true),
        bytes => String::from_utf8(bytes.to_vec()).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_other_editors_are_read() {
        let wide = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
        assert_eq!(decoded(b"a==1\n").as_deref(), Some("a==1\n"));
        assert_eq!(decoded("\u{feff}a==1".as_bytes()).as_deref(), Some("a==1"));
        assert_eq!(decoded(&wide("\u{feff}a==1\r\n")).as_deref(), Some("a==1\r\n"));
        let big: Vec<u8> = "\u{feff}ä".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(decoded(&big).as_deref(), Some("ä"));
        assert_eq!(decoded(&[0xFF, 0xFE, 0x00]), Some("\u{fffd}".to_owned()));
        assert_eq!(decoded(&[0x80]), None);
    }
}
