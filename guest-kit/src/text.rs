//! [`Text`]: a short text on the stack.

/// Text of up to 1024 bytes. It is in no memory but the stack's, because a guest that panics may have no more.
pub(crate) struct Text {
    bytes: [u8; 1024],
    used: usize,
}

impl Text {
    pub(crate) fn new() -> Self {
        Self { bytes: [0; 1024], used: 0 }
    }

    pub(crate) fn as_str(&self) -> &str {
        // Only whole characters were copied.
        core::str::from_utf8(&self.bytes[..self.used]).unwrap_or_default()
    }
}

impl core::fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let mut bytes = text.len().min(self.bytes.len() - self.used);
        while !text.is_char_boundary(bytes) {
            bytes -= 1;
        }
        self.bytes[self.used..self.used + bytes].copy_from_slice(&text.as_bytes()[..bytes]);
        self.used += bytes;
        if bytes == text.len() {
            Ok(())
        } else {
            Err(core::fmt::Error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Text;
    use core::fmt::Write as _;

    #[test]
    fn what_does_not_fit_is_left_out_and_no_character_is_cut() {
        let mut text = Text::new();
        for _ in 0..511 {
            assert!(text.write_str("é").is_ok());
        }
        assert!(text.write_str("a").is_ok());
        assert!(text.write_str("éé").is_err());
        assert_eq!(text.as_str().len(), 1023);
        assert!(text.as_str().ends_with("éa"));
    }
}
