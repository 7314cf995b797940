//! Values on their way to a PostgreSQL server and back, in its binary format.

use std::error::Error;

use bytes::BytesMut;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::error::StoreError;
use crate::sql::value::Value;

type Boxed = Box<dyn Error + Sync + Send>;

/// A value that outlives the call that gave it.
#[derive(Debug)]
pub(super) enum Owned {
    Null,
    Integer(i64),
    Text(String),
    Blob(Vec<u8>),
}

impl From<&Value<'_>> for Owned {
    fn from(value: &Value<'_>) -> Owned {
        match *value {
            Value::Null => Owned::Null,
            Value::Integer(number) => Owned::Integer(number),
            Value::Text(text) => Owned::Text(text.to_owned()),
            Value::Blob(bytes) => Owned::Blob(bytes.to_vec()),
        }
    }
}

impl Owned {
    fn value(&self) -> Value<'_> {
        match self {
            Owned::Null => Value::Null,
            Owned::Integer(number) => Value::Integer(*number),
            Owned::Text(text) => Value::Text(text),
            Owned::Blob(bytes) => Value::Blob(bytes),
        }
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Boxed> {
        match *self {
            Value::Null => Ok(IsNull::Yes),
            Value::Integer(number) if *kind == Type::INT8 => number.to_sql(kind, out),
            Value::Integer(number) if *kind == Type::INT4 => i32::try_from(number)?.to_sql(kind, out),
            Value::Integer(number) if *kind == Type::INT2 => i16::try_from(number)?.to_sql(kind, out),
            Value::Integer(number) if *kind == Type::BOOL => (number != 0).to_sql(kind, out),
            Value::Text(text) if *kind == Type::TEXT => text.to_sql(kind, out),
            Value::Blob(bytes) if *kind == Type::BYTEA => bytes.to_sql(kind, out),
            _ => Err(format!("a parameter of type {kind} was given a value of another").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl ToSql for Owned {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Boxed> {
        self.value().to_sql(kind, out)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// What a column holds.
struct Column<'a>(Value<'a>);

impl<'a> FromSql<'a> for Column<'a> {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Column<'a>, Boxed> {
        Ok(Column(match *kind {
            Type::INT8 => Value::Integer(i64::from_sql(kind, raw)?),
            Type::INT4 => Value::Integer(i32::from_sql(kind, raw)?.into()),
            Type::INT2 => Value::Integer(i16::from_sql(kind, raw)?.into()),
            Type::BOOL => Value::Integer(bool::from_sql(kind, raw)?.into()),
            Type::TEXT | Type::NAME | Type::VARCHAR => Value::Text(<&str>::from_sql(kind, raw)?),
            Type::BYTEA => Value::Blob(raw),
            _ => return Err(format!("a column has the type {kind}").into()),
        }))
    }

    fn from_sql_null(_: &Type) -> Result<Column<'a>, Boxed> {
        Ok(Column(Value::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// A row of an answer.
pub(crate) struct PostgresRow(pub(super) Row);

impl PostgresRow {
    /// A column as the server gave it.
    pub(crate) fn value(&self, column: usize) -> Result<Value<'_>, StoreError> {
        let value = self.0.try_get::<_, Column<'_>>(column);
        value.map(|Column(value)| value).map_err(|_| StoreError::damaged("a column cannot be read"))
    }
}
