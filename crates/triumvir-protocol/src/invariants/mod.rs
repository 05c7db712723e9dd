//! One predicate per invariant of docs/protocol.md, "Invariants", over a view of a whole system. The
//! model checker, the simulator and the tests share them.
