//! A reader of Thrift's compact protocol, as far as Parquet's footers need it.
//! Source: `thrift-compact-protocol.md` of Apache Thrift.

/// Nothing in a footer is nested nearly as deep.
const MAX_DEPTH: u8 = 32;

/// The type of a value, as the protocol numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Type(u8);

impl Type {
    const TRUE: Type = Type(1);
    const FALSE: Type = Type(2);
    pub(super) const BINARY: Type = Type(8);
    pub(super) const LIST: Type = Type(9);
    pub(super) const STRUCT: Type = Type(12);
}

/// The bytes are cut short, or are no Thrift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Reads values one after the other.
pub(super) struct Compact<'a> {
    rest: &'a [u8],
    depth: u8,
}

impl<'a> Compact<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Compact {
            rest: bytes,
            depth: 0,
        }
    }

    /// The bytes behind what was read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        self.take(1)?.first().copied().ok_or(Malformed)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    /// A count or a length, which no more bytes than there are can make good.
    fn length(&mut self) -> Result<usize, Malformed> {
        let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
        (length <= self.rest.len()).then_some(length).ok_or(Malformed)
    }

    pub(super) fn binary(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.length()?;
        self.take(length)
    }

    /// A structure: `each` gets every field, and reads or skips its value.
    pub(super) fn fields(
        &mut self,
        mut each: impl FnMut(&mut Self, i64, Type) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.deeper(|reader| {
            let mut id = 0_i64;
            loop {
                let header = reader.byte()?;
                let kind = Type(header & 0x0f);
                if header == 0 {
                    return Ok(());
                }
                id = match i64::from(header >> 4) {
                    0 => {
                        let zigzag = reader.varint()?;
                        (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64)
                    }
                    delta => id.checked_add(delta).ok_or(Malformed)?,
                };
                each(reader, id, kind)?;
            }
        })
    }

    /// A list: `each` gets every element, and reads or skips it.
    pub(super) fn elements(
        &mut self,
        mut each: impl FnMut(&mut Self, Type) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.deeper(|reader| {
            let header = reader.byte()?;
            let count = match usize::from(header >> 4) {
                15 => reader.length()?,
                few => few,
            };
            (0..count).try_for_each(|_| each(reader, Type(header & 0x0f)))
        })
    }

    /// A list of texts.
    pub(super) fn texts(&mut self) -> Result<Vec<String>, Malformed> {
        let mut texts = Vec::new();
        self.elements(|reader, kind| {
            if kind != Type::BINARY {
                return Err(Malformed);
            }
            texts.push(String::from_utf8_lossy(reader.binary()?).into_owned());
            Ok(())
        })?;
        Ok(texts)
    }

    /// The value of a field.
    pub(super) fn skip(&mut self, kind: Type) -> Result<(), Malformed> {
        match kind {
            Type::TRUE | Type::FALSE => Ok(()), // the header of the field has it
            Type(3) => self.take(1).map(drop),
            Type(4..=6) => self.varint().map(drop),
            Type(7) => self.take(8).map(drop),
            Type::BINARY => self.binary().map(drop),
            Type::LIST | Type(10) => self.elements(Self::skip_element),
            Type(11) => self.deeper(Self::skip_map),
            Type::STRUCT => self.fields(|reader, _, kind| reader.skip(kind)),
            Type(13) => self.take(16).map(drop),
            _ => Err(Malformed),
        }
    }

    /// An element of a list or a map, where a Boolean takes a byte.
    fn skip_element(&mut self, kind: Type) -> Result<(), Malformed> {
        match kind {
            Type::TRUE | Type::FALSE => self.take(1).map(drop),
            _ => self.skip(kind),
        }
    }

    fn skip_map(&mut self) -> Result<(), Malformed> {
        let count = self.length()?;
        if count == 0 {
            return Ok(());
        }
        let kinds = self.byte()?;
        (0..count).try_for_each(|_| {
            self.skip_element(Type(kinds >> 4))?;
            self.skip_element(Type(kinds & 0x0f))
        })
    }

    fn deeper<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Malformed>) -> Result<T, Malformed> {
        if self.depth == MAX_DEPTH {
            return Err(Malformed);
        }
        self.depth += 1;
        let result = work(self);
        self.depth -= 1;
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Fields 1 (a list of two texts), 2 (true), 20 (a structure in a structure) and 21 (a map of i32 to bool).
    const ALL: &[u8] = &[
        0x19, 0x28, 1, b'a', 2, b'b', b'c', 0x11, 0x0c, 40, 0x1c, 0x15, 9, 0, 0, 0x1b, 1, 0x51, 3, 1, 0,
    ];

    #[test]
    fn values_are_read_and_skipped_to_the_byte() {
        let mut seen = Vec::new();
        let mut reader = Compact::new(ALL);
        reader
            .fields(|reader, id, kind| {
                seen.push(id);
                if id == 1 {
                    assert_eq!(reader.texts()?, ["a", "bc"]);
                    return Ok(());
                }
                reader.skip(kind)
            })
            .unwrap();
        assert_eq!(seen, [1, 2, 20, 21]);
        assert_eq!(reader.rest(), b"");
        for length in 0..ALL.len() {
            let mut reader = Compact::new(&ALL[..length]);
            assert_eq!(reader.skip(Type::STRUCT), Err(Malformed), "{length}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        assert_eq!(Compact::new(&[0x1c; 100_000]).skip(Type::STRUCT), Err(Malformed));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Compact::new(&bytes).skip(Type::STRUCT);
            let _ = Compact::new(&bytes).texts();
        }
    }
}
