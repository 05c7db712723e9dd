//! What a service links: the participant runtime and the embedded key-value resource.
