//! Process tests; each target says what it proves.
