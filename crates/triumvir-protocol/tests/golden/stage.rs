//! The command language. Each command is one line; what it prints is the world's trace.
//!
//! `world N` · `content three|two pI[=done:INCARNATION:OPERATIONS|=text:TEXT].. ` · `plan pI yes|read|no` ·
//! `commit|outcome|decide|abort nI tK[letter]` · `operate pI tK` · `deliver|again|drop [text]` ·
//! `keep|late [text]` (copies of what is under way, delivered when and as often as it suits) ·
//! `forge from -> to: WORD [[value@]ballot] tK[letter]` (what no correct party would say) ·
//! `work [pI]` · `append|lose [text]` · `apply nI|all` · `talk` (deliver and work until all is quiet) ·
//! `run` (append and apply, too) · `cut|mend party` · `timer party Name tK` · `elect|depose nI` ·
//! `win nI` (elected, and the other replicas have not heard of it) · `crash|restart pI` ·
//! `register` (all participants: only then can they be removed) · `remove nI pK` · `horizon nI tK` · `bare` (participants' frames carry no horizon) ·
//! `quietly command` (prints nothing) · `show`

use std::collections::BTreeSet;
use std::sync::Arc;

use triumvir_protocol::{
    Ballot, ConductorTimer, DiskId, Incarnation, Mode, ParticipantId, ParticipantTimer, Record,
    Register, ReplicaId, Request, Rules, TxnId, Value, Work,
};

use crate::world::{Ask, Body, Envelope, Party, Plan, Timer, World};

#[derive(Default)]
pub(crate) struct Stage {
    rules: Rules,
    world: Option<World>,
    cut: BTreeSet<Party>,
    /// Copies that arrive late.
    kept: Vec<Envelope>,
    /// Something was forged: only then may there be alarms.
    forged: bool,
    printed: Vec<String>,
}

fn number(word: &str) -> u64 {
    let digits: String = word.chars().filter(char::is_ascii_digit).collect();
    digits
        .parse()
        .unwrap_or_else(|_| panic!("no number in {word}"))
}

fn txn(word: &str) -> TxnId {
    TxnId::from_u128(u128::from(number(word)))
}

fn node(word: &str) -> ParticipantId {
    assert!(word.starts_with('p'), "{word} is no participant");
    ParticipantId(u32::try_from(number(word)).expect("small"))
}

fn replica(word: &str) -> ReplicaId {
    assert!(word.starts_with('n'), "{word} is no replica");
    ReplicaId(number(word))
}

fn party(word: &str) -> Party {
    if word.starts_with('n') {
        Party::Replica(replica(word))
    } else {
        Party::Node(node(word))
    }
}

impl Stage {
    #[cfg(feature = "mutants")]
    pub(crate) fn under(rules: Rules) -> Self {
        Self {
            rules,
            ..Self::default()
        }
    }

    pub(crate) fn printed(&mut self) -> Vec<String> {
        std::mem::take(&mut self.printed)
    }

    fn world(&mut self) -> &mut World {
        self.world.as_mut().expect("`world` comes first")
    }

    pub(crate) fn play(&mut self, line: &str) {
        let (quietly, line) = match line.strip_prefix("quietly ") {
            Some(line) => (true, line),
            None => (false, line),
        };
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let words: Vec<_> = rest.split_whitespace().collect();
        match word {
            "world" => return self.open(u32::try_from(number(rest)).expect("small")),
            "show" => {
                let picture = self.world().picture();
                return self.printed.extend(picture);
            }
            "cut" => drop(self.cut.insert(party(rest))),
            "mend" => drop(self.cut.remove(&party(rest))),
            "deliver" | "again" | "drop" => self.post(word, rest),
            "keep" => self.keep(rest),
            "late" => self.late(rest),
            "append" | "lose" => self.log(word, rest),
            "talk" => self.talk(),
            "run" => self.run(),
            "work" if rest.is_empty() => drop(self.work_all()),
            _ => self.act(word, &words),
        }
        if let Err(violation) = self.world().check() {
            self.printed.push(format!("VIOLATION {violation}"));
        }
        let trace = std::mem::take(&mut self.world().trace);
        let alarm = trace.iter().any(|line| line.contains(" ALARM "));
        let printed = |line: &String| !quietly || line.starts_with("WRONG");
        self.printed.extend(trace.into_iter().filter(printed));
        self.forged |= word == "forge";
        if alarm && !self.forged {
            self.printed.push(format!("WRONG: an alarm at {line}"));
        }
    }

    /// A new world whose first replica leads.
    fn open(&mut self, participants: u32) {
        let mut world = World::new(self.rules, 3, participants);
        world.elect(ReplicaId(1));
        for id in 1..=3 {
            world.apply(ReplicaId(id));
        }
        world.trace.clear();
        self.cut.clear();
        self.kept.clear();
        self.forged = false;
        self.world = Some(world);
    }

    fn act(&mut self, word: &str, words: &[&str]) {
        let world = self.world();
        match (word, words) {
            ("content", [mode, parts @ ..]) => content(world, mode, parts),
            ("plan", [id, plan]) => {
                let plan = match *plan {
                    "yes" => Plan::Yes,
                    "read" => Plan::Read,
                    "no" => Plan::No,
                    other => panic!("no such plan: {other}"),
                };
                world.nodes.get_mut(&node(id)).expect("it exists").plan = plan;
            }
            ("commit", [at, what]) => {
                let letter = what.chars().last().expect("a content's letter");
                let content = usize::try_from(u32::from(letter) - u32::from('a')).expect("small");
                world.ask(replica(at), txn(what), Ask::Commit(content));
            }
            ("outcome", [at, what]) => {
                world.ask(replica(at), txn(what), Ask::Outcome { decide: false });
            }
            ("decide", [at, what]) => {
                world.ask(replica(at), txn(what), Ask::Outcome { decide: true });
            }
            ("abort", [at, what]) => drop(world.ask(replica(at), txn(what), Ask::Abort)),
            ("operate", [id, what]) => {
                let done = world.operate(node(id), txn(what));
                world.say(format!("{id} operates in {what}: {done}"));
            }
            ("work", [id]) => {
                while !world.nodes[&node(id)].jobs.is_empty() {
                    world.work(node(id));
                }
            }
            ("apply", ["all"]) => apply_all(world),
            ("apply", [at]) => while world.apply(replica(at)) {},
            ("timer", [at, name, what]) => timer(world, at, name, txn(what)),
            ("elect", [at]) => {
                world.elect(replica(at));
                apply_all(world);
            }
            ("win", [at]) => {
                world.elect(replica(at));
                while world.apply(replica(at)) {}
            }
            ("depose", [at]) => world.depose(replica(at)),
            ("crash", [id]) => world.crash(node(id)),
            ("restart", [id]) => world.restart(node(id)),
            ("bare", []) => world.peers_tell = false,
            ("forge", [from, "->", to, message @ .., what]) => {
                let envelope = forged(world, from, to, message, what);
                world.say(format!("forge {}", world.envelope(&envelope)));
                world.deliver_copy(envelope);
            }
            ("register", []) => register_all(world),
            ("remove", [at, id]) => world.propose_removal(replica(at), node(id)),
            ("horizon", [at, what]) => world.propose_horizon(replica(at), txn(what)),
            _ => panic!("no such command: {word} {words:?}"),
        }
    }

    /// Messages that are under way now and whose text contains `text`.
    fn post(&mut self, word: &str, text: &str) {
        self.cut_off();
        let world = self.world();
        let mut found = false;
        for envelope in std::mem::take(&mut world.bag) {
            if !world.envelope(&envelope).contains(text) {
                world.bag.push(envelope);
                continue;
            }
            found = true;
            match word {
                "drop" => world.say(format!("drop {}", world.envelope(&envelope))),
                "again" => {
                    world.deliver_copy(envelope.clone());
                    world.bag.push(envelope);
                }
                _ => world.deliver_copy(envelope),
            }
        }
        if !found {
            world.say(format!("WRONG: no message says {text:?}"));
        }
    }

    /// Copies of messages that are under way now and whose text contains `text`.
    fn keep(&mut self, text: &str) {
        self.cut_off();
        let world = self.world.as_ref().expect("`world` comes first");
        let told = |e: &&Envelope| world.envelope(e).contains(text);
        let copies: Vec<_> = world.bag.iter().filter(told).cloned().collect();
        if copies.is_empty() {
            self.world().say(format!("WRONG: no message says {text:?}"));
        }
        self.kept.extend(copies);
    }

    /// Delivers the kept copies whose text contains `text`; they stay kept.
    fn late(&mut self, text: &str) {
        let world = self.world.as_mut().expect("`world` comes first");
        let told = |e: &&Envelope| world.envelope(e).contains(text);
        let late: Vec<_> = self.kept.iter().filter(told).cloned().collect();
        if late.is_empty() {
            world.say(format!("WRONG: no kept message says {text:?}"));
        }
        for envelope in late {
            world.deliver_copy(envelope);
        }
    }

    fn log(&mut self, word: &str, text: &str) {
        let world = self.world();
        let mut at = 0;
        while let Some((_, record)) = world.limbo.get(at) {
            if !world.record(record).contains(text) {
                at += 1;
            } else if word == "append" {
                world.append(at);
            } else {
                let (_, record) = world.limbo.remove(at);
                world.say(format!("lose {}", world.record(&record)));
            }
        }
    }

    /// What comes from or goes to those who are cut off is lost.
    fn cut_off(&mut self) {
        let cut = self.cut.clone();
        let lost = |party: Party| cut.contains(&party);
        self.world().bag.retain(|e| !lost(e.from) && !lost(e.to));
    }

    fn work_all(&mut self) -> bool {
        let world = self.world();
        let ids: Vec<_> = world.nodes.keys().copied().collect();
        let mut any = false;
        for id in ids {
            while !world.nodes[&id].jobs.is_empty() {
                any = true;
                world.work(id);
            }
        }
        any
    }

    fn talk(&mut self) {
        for _ in 0..1000 {
            self.cut_off();
            if self.world().bag.is_empty() {
                if !self.work_all() {
                    return;
                }
            } else {
                self.world().deliver(0);
            }
        }
        panic!("they never fall silent");
    }

    fn run(&mut self) {
        for _ in 0..100 {
            self.talk();
            let world = self.world();
            if world.limbo.is_empty() {
                return;
            }
            while !world.limbo.is_empty() {
                world.append(0);
            }
            apply_all(world);
        }
        panic!("they never come to an end");
    }
}

/// Their registrations give the participants the ids that they have in this world.
fn register_all(world: &mut World) {
    for id in world.nodes.keys() {
        let (name, disk) = (id.to_string().into(), DiskId(u128::from(id.0)));
        world.log.push(Record::Register(Register {
            address: Arc::clone(&name),
            name,
            disk,
            previous: Incarnation(0),
            nonce: disk.0,
            replace: false,
        }));
    }
    apply_all(world);
}

fn content(world: &mut World, mode: &str, parts: &[&str]) {
    let mode = match mode {
        "three" => Mode::ThreePhase,
        "two" => Mode::TwoPhase,
        other => panic!("no such mode: {other}"),
    };
    let part = |word: &&str| match word.split_once("=done:") {
        None => match word.split_once("=text:") {
            None => (node(word), None),
            Some((id, text)) => (node(id), Some(Work::Payload(text.as_bytes().into()))),
        },
        Some((id, done)) => {
            let (incarnation, operations) = done.split_once(':').expect("incarnation:operations");
            let work = Work::Done {
                incarnation: Incarnation(number(incarnation)),
                operations: number(operations),
            };
            (node(id), Some(work))
        }
    };
    let parts: Vec<_> = parts.iter().map(part).collect();
    world.content(mode, &parts);
}

/// `from` has never said this: `WORD [[value@]round.owner]`.
fn forged(world: &World, from: &str, to: &str, message: &[&str], what: &str) -> Envelope {
    let ballot = |word: &str| {
        let (round, owner) = word.split_once('.').expect("round.owner");
        let [round, owner] = [round, owner].map(|n| u32::try_from(number(n)).expect("small"));
        Ballot { round, owner }
    };
    let request = match message {
        ["DO-COMMIT"] => Request::DoCommit,
        ["ABORT"] => Request::Abort,
        ["FENCE", at] => Request::Fence { ballot: ballot(at) },
        ["ACCEPT", accept] => {
            let (value, at) = accept.split_once('@').expect("value@ballot");
            let value = match value {
                "commit" => Value::Commit,
                "abort" => Value::Abort,
                other => panic!("no such value: {other}"),
            };
            let ballot = ballot(at);
            Request::Accept { ballot, value }
        }
        other => panic!("no such message: {other:?}"),
    };
    let own = world.contents.iter().find(|c| what.ends_with(c.letter));
    let digest = own.expect("a content's letter").terms.digest;
    let from = party(from);
    let epoch = match from {
        Party::Replica(id) => world.replicas[&id].coordinator.epoch(),
        Party::Node(_) => Default::default(),
    };
    Envelope {
        from,
        to: party(to.trim_end_matches(':')),
        txn: txn(what),
        digest,
        horizon: Default::default(),
        body: Body::Request(epoch, request),
    }
}

fn apply_all(world: &mut World) {
    let ids: Vec<_> = world.replicas.keys().copied().collect();
    for id in ids {
        while world.apply(id) {}
    }
}

fn timer(world: &mut World, at: &str, name: &str, txn: TxnId) {
    let conductor = |timer| Timer::Conductor(replica(at), txn, timer);
    let participant = |timer| Timer::Participant(node(at), txn, timer);
    let timer = match name {
        "Vote" => conductor(ConductorTimer::Vote),
        "Resend" => conductor(ConductorTimer::Resend),
        "Work" => participant(ParticipantTimer::Work),
        "Inquire" => participant(ParticipantTimer::Inquire),
        "Fence" => participant(ParticipantTimer::Fence),
        "Finish" => participant(ParticipantTimer::Finish),
        other => panic!("no such timer: {other}"),
    };
    if world.timers.contains(&timer) {
        world.fire(timer);
    } else {
        world.say(format!("WRONG: {at} {name} is not set"));
    }
}
