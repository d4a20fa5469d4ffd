//! What a session knows.

use headwater_core::other_names::OTHER_NAMES;

use super::*;

#[tokio::test]
async fn functions_of_other_systems_are_known_by_name_only() {
    let session = Headwater::builder().build().unwrap();
    for (name, instead) in OTHER_NAMES {
        let error = session.sql(&format!("SELECT {name}(1)")).await;
        let error = error.err().unwrap_or_else(|| panic!("there is {name}()"));
        let message = format!("function \"{name}\" does not exist");
        assert_eq!(error.message(), message);
        assert_eq!(error.hint(), Some(*instead));
    }
}
