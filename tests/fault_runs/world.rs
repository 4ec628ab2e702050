//! What is around the processes of a fault run: one broker, one behind a proxy, or a cluster of three.

use std::time::Duration;

use ripen_harness::{
    Broker, BrokerOptions, Dice, END_TXN, METADATA, Mischief, PRODUCE, Proxy, Rule, SmallDisk,
    TXN_OFFSET_COMMIT,
};

/// Brokers, and what stands in front of them.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) brokers: Vec<Broker>,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) disk: Option<SmallDisk>,
}

impl World {
    pub(crate) fn one_broker() -> World {
        World { brokers: vec![Broker::start()], proxy: None, disk: None }
    }

    /// Processes reach the broker through a proxy, the test itself does not.
    pub(crate) fn one_broker_behind_a_proxy(seed: u64) -> World {
        let proxy = Proxy::start(seed);
        let options = BrokerOptions { proxy_port: Some(proxy.port()), ..BrokerOptions::default() };
        let (broker, behind) = Broker::start_with(&options);
        proxy.connect_to(behind);
        World { brokers: vec![broker], proxy: Some(proxy), disk: None }
    }

    /// The broker's log lies on a disk of its own.
    pub(crate) fn one_broker_on(disk: SmallDisk) -> World {
        let options = BrokerOptions { data_dir: Some(disk.dir().to_owned()), ..BrokerOptions::default() };
        let (broker, _) = Broker::start_with(&options);
        World { brokers: vec![broker], proxy: None, disk: Some(disk) }
    }

    pub(crate) fn three_brokers() -> World {
        World { brokers: Broker::start_three(), proxy: None, disk: None }
    }

    /// The world of one round of a long run, and its name. Two of three rounds have the proxy, the third has leaders
    /// and coordinators that move.
    pub(crate) fn of_round(round: u64, seed: u64) -> (&'static str, World) {
        match round % 3 {
            2 => ("three brokers", World::three_brokers()),
            _ => ("one broker behind a proxy", World::one_broker_behind_a_proxy(seed)),
        }
    }

    /// All brokers, for clients that do not go through the proxy.
    pub(crate) fn bootstrap(&self) -> String {
        self.brokers.iter().map(Broker::bootstrap).collect::<Vec<_>>().join(",")
    }
}

/// What a proxy does for a while: mostly to the ends of transactions, sometimes to everything.
pub(crate) fn weather(dice: &mut Dice) -> Vec<Rule> {
    let some = Duration::from_millis(dice.between(100, 4_000));
    let long = Duration::from_millis(dice.between(4_000, 14_000));
    let any = [
        Mischief::DelayAnswer(some),
        Mischief::DelayRequest(some),
        Mischief::CutAfter,
        Mischief::CutBefore,
        Mischief::HalfClose,
        Mischief::Hang(long),
        Mischief::DelayRequest(long),
    ];
    let mut rules = Vec::new();
    for kind in [Some(END_TXN), Some(END_TXN), Some(TXN_OFFSET_COMMIT), Some(PRODUCE), None] {
        let mischief = any[dice.between(0, any.len() as u64) as usize];
        let per_mille = if kind.is_none() { 5 } else { dice.between(20, 200) };
        rules.push(Rule { kind, per_mille, mischief });
    }
    // As a broker that has only just started.
    let per_mille = dice.between(0, 500);
    rules.push(Rule { kind: Some(METADATA), per_mille, mischief: Mischief::NameNoBrokers });
    rules
}
