//! A JSON object in which no key may come twice: of two values the last would count in silence.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

/// The members of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UniqueMap<K, V>(pub BTreeMap<K, V>);

struct Members<K, V>(PhantomData<(K, V)>);

impl<'de, K, V> Visitor<'de> for Members<K, V>
where
    K: Deserialize<'de> + Ord + fmt::Display,
    V: Deserialize<'de>,
{
    type Value = UniqueMap<K, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut members = BTreeMap::new();
        while let Some((key, value)) = access.next_entry::<K, V>()? {
            if members.contains_key(&key) {
                return Err(A::Error::custom(format!("\"{key}\" is there twice")));
            }
            members.insert(key, value);
        }
        Ok(UniqueMap(members))
    }
}

impl<'de, K, V> Deserialize<'de> for UniqueMap<K, V>
where
    K: Deserialize<'de> + Ord + fmt::Display,
    V: Deserialize<'de>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_comes_twice_is_named() {
        let read = |text: &str| serde_json::from_str::<UniqueMap<i32, i64>>(text);
        let two = BTreeMap::from([(0, 1), (1, 2)]);
        assert_eq!(read(r#"{"0":1,"1":2}"#).unwrap().0, two);
        let error = read(r#"{"0":1,"0":2}"#).unwrap_err().to_string();
        assert!(error.starts_with("\"0\" is there twice"), "{error}");
    }
}
