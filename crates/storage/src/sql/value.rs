//! What goes into a statement and what comes out of a row: the few kinds of values that our tables have.

use crate::error::StoreError;

/// A value as a statement takes it, and as a column has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// None.
    Null,
    /// A number, or yes (1) and no (0).
    Integer(i64),
    /// A text.
    Text(&'a str),
    /// Bytes.
    Blob(&'a [u8]),
}

impl<'a> Value<'a> {
    /// How many bytes it has, if it has any.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Value::Blob(bytes) => bytes.len(),
            Value::Text(text) => text.len(),
            Value::Null | Value::Integer(_) => 0,
        }
    }

    /// The text, if it is one or nothing.
    pub(crate) fn as_str_or_null(self) -> Result<Option<&'a str>, StoreError> {
        match self {
            Value::Null => Ok(None),
            Value::Text(text) => Ok(Some(text)),
            _ => Err(other_kind()),
        }
    }
}

fn other_kind() -> StoreError {
    StoreError::damaged("a column holds a value of another kind")
}

/// The values of a statement, in its order.
macro_rules! params {
    ($($value:expr),* $(,)?) => { &[$($crate::sql::value::Bind::bind(&$value)),*] };
}
pub(crate) use params;

/// Anything that can be bound to a statement.
pub(crate) trait Bind {
    fn bind(&self) -> Value<'_>;
}

macro_rules! bind {
    ($($kind:ty: $value:ident => $to:expr;)*) => {
        $(impl Bind for $kind {
            fn bind(&self) -> Value<'_> {
                let $value = self;
                $to
            }
        })*
    };
}

bind! {
    i64: value => Value::Integer(*value);
    u32: value => Value::Integer(i64::from(*value));
    bool: value => Value::Integer(i64::from(*value));
    str: value => Value::Text(value);
    String: value => Value::Text(value);
    [u8]: value => Value::Blob(value);
    Vec<u8>: value => Value::Blob(value);
}

impl<const N: usize> Bind for [u8; N] {
    fn bind(&self) -> Value<'_> {
        Value::Blob(self)
    }
}

impl<T: Bind> Bind for Option<T> {
    fn bind(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Null, Bind::bind)
    }
}

impl<T: Bind + ?Sized> Bind for &T {
    fn bind(&self) -> Value<'_> {
        T::bind(self)
    }
}

/// What a column can be read as.
pub(crate) trait FromValue: Sized {
    fn from_value(value: Value<'_>) -> Result<Self, StoreError>;
}

impl FromValue for i64 {
    fn from_value(value: Value<'_>) -> Result<i64, StoreError> {
        match value {
            Value::Integer(number) => Ok(number),
            _ => Err(other_kind()),
        }
    }
}

impl FromValue for u32 {
    fn from_value(value: Value<'_>) -> Result<u32, StoreError> {
        u32::try_from(i64::from_value(value)?).map_err(|_| StoreError::damaged("a number is out of bounds"))
    }
}

impl FromValue for bool {
    fn from_value(value: Value<'_>) -> Result<bool, StoreError> {
        Ok(i64::from_value(value)? != 0)
    }
}

impl FromValue for String {
    fn from_value(value: Value<'_>) -> Result<String, StoreError> {
        value.as_str_or_null()?.map(str::to_owned).ok_or_else(other_kind)
    }
}

impl FromValue for Vec<u8> {
    fn from_value(value: Value<'_>) -> Result<Vec<u8>, StoreError> {
        match value {
            Value::Blob(bytes) => Ok(bytes.to_vec()),
            _ => Err(other_kind()),
        }
    }
}

impl<const N: usize> FromValue for [u8; N] {
    fn from_value(value: Value<'_>) -> Result<[u8; N], StoreError> {
        match value {
            Value::Blob(bytes) => bytes.try_into().map_err(|_| other_kind()),
            _ => Err(other_kind()),
        }
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value<'_>) -> Result<Option<T>, StoreError> {
        match value {
            Value::Null => Ok(None),
            value => T::from_value(value).map(Some),
        }
    }
}
