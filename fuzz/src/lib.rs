//! The properties that the fuzz targets play, which the tests play too.

#[path = "../../tests/properties/mod.rs"]
pub mod properties;

/// Play one input of a property.
pub fn play(name: &str, data: &[u8]) {
    let (_, holds) = properties::ALL.iter().find(|(it, _)| *it == name).expect("a property of this name");
    holds(data);
}
