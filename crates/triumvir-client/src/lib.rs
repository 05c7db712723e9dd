//! What an application links: commit, outcome, retries, leader discovery.
