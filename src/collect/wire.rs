//! Reads the fields of a message of protocol buffers, without its schema.

use super::damage::WireError;

/// Maximum number of bytes of a variable-length number.
const MAX_VARINT: usize = 10;

/// The fields of a message, in their order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    rest: &'a [u8],
}

/// A field: its number and its value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Field<'a> {
    pub number: u64,
    pub value: Wire<'a>,
}

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wire<'a> {
    /// A number of any kind but floats.
    Varint(u64),
    /// Eight bytes: a double.
    Fixed64([u8; 8]),
    /// Four bytes: a float.
    Fixed32([u8; 4]),
    /// A text, bytes, a message, or packed numbers.
    Bytes(&'a [u8]),
}

impl<'a> Message<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next field; None at the end.
    pub(super) fn next(&mut self) -> Result<Option<Field<'a>>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(self.array()?),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| WireError::Short)?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Fixed32(self.array()?),
            _ => return Err(WireError::UnknownType),
        };
        Ok(Some(Field {
            number: key >> 3,
            value,
        }))
    }

    /// The next of packed variable-length numbers; None at the end.
    pub(super) fn next_varint(&mut self) -> Result<Option<u64>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        self.varint().map(Some)
    }

    fn varint(&mut self) -> Result<u64, WireError> {
        let mut number = 0;
        for place in 0..MAX_VARINT {
            let byte = *self.rest.get(place).ok_or(WireError::Short)?;
            // Bits beyond the 64th are lost, as in every reader of protocol buffers.
            number |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[place + 1..];
                return Ok(number);
            }
        }
        Err(WireError::LongNumber)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(WireError::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(WireError::Short)?;
        self.rest = rest;
        Ok(*taken)
    }
}

impl<'a> Wire<'a> {
    /// The bytes, if it has any length.
    pub(super) fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The text, if it has any length.
    pub(super) fn text(self) -> Result<Option<&'a str>, WireError> {
        self.bytes()
            .map(|bytes| std::str::from_utf8(bytes).map_err(|_| WireError::NotText))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_of_every_type_are_read() {
        let bytes = [
            &[0x08, 0x96, 0x01][..],
            &[0x11, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f],
            &[0x1a, 2, b'h', b'i'],
            &[0x25, 0, 0, 0xc0, 0x3f],
        ]
        .concat();
        let mut message = Message::new(&bytes);
        let mut found = Vec::new();
        while let Some(field) = message.next().unwrap() {
            found.push((field.number, field.value));
        }
        assert_eq!(
            found,
            [
                (1, Wire::Varint(150)),
                (2, Wire::Fixed64(1.5_f64.to_le_bytes())),
                (3, Wire::Bytes(b"hi")),
                (4, Wire::Fixed32(1.5_f32.to_le_bytes())),
            ]
        );
    }

    #[test]
    fn damaged_messages_are_refused() {
        let error = |bytes: &[u8]| Message::new(bytes).next().unwrap_err();
        assert_eq!(error(&[0x1a, 3, b'h', b'i']), WireError::Short);
        assert_eq!(error(&[0x80]), WireError::Short);
        assert_eq!(error(&[0xff; 11]), WireError::LongNumber);
        assert_eq!(error(&[0x0b]), WireError::UnknownType);
        let huge = [&[0x1a][..], &[0xff; 9], &[1]].concat();
        assert_eq!(error(&huge), WireError::Short);
    }

    proptest! {
        #[test]
        fn any_bytes_come_to_an_end(bytes: Vec<u8>) {
            let mut message = Message::new(&bytes);
            while let Ok(Some(_)) = message.next() {}
        }
    }
}
