//! Timely dataflow over the rows of drey-bench: the cases generate, exchange, keyed_sum and window.
//!
//! Prints one line of JSON: with --verify the number of results and their digest, as `drey-bench CASE --verify` does.

mod rows;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use rustc_hash::{FxBuildHasher, FxHashMap};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::operator::{source, Operator};
use timely::dataflow::operators::probe::{Handle, Probe};
use timely::dataflow::operators::Capability;
use timely::dataflow::{Scope, Stream};
use timely::scheduling::Activator;

use rows::{mix, Range, Row, ROWS_PER_SECOND};

/// Rows of one worker that share a logical time.
const EPOCH_ROWS: u64 = 10_000;
/// A source is at most so many epochs ahead of the results.
const EPOCHS_AHEAD: u64 = 4;
/// A worker that has nothing to do sleeps for so long; it does not spin.
const NAP: Duration = Duration::from_micros(100);
const SECOND_MS: i64 = 1000;

static RESULTS: AtomicI64 = AtomicI64::new(0);
static DIGEST: AtomicU64 = AtomicU64::new(0);

#[derive(Clone)]
struct Case {
    name: String,
    rows: u64,
    workers: u64,
    verify: bool,
}

type Rows<'s> = Stream<'s, u64, Vec<Row>>;

fn generated<'s>(scope: Scope<'s, u64>, range: Range, done: Handle<u64>) -> Rows<'s> {
    source::<_, CapacityContainerBuilder<Vec<Row>>, _, _>(scope, "rows", move |capability, info| {
        let address = info.address.clone();
        let activations = scope.worker().activations();
        let again = Activator::new(info.address, activations.clone());
        let mut capability = Some(capability);
        let mut next = 0;
        move |output| {
            let Some(time) = capability.as_mut() else { return };
            let epoch = next / EPOCH_ROWS;
            if epoch >= EPOCHS_AHEAD && done.less_than(&(epoch - EPOCHS_AHEAD + 1)) {
                activations.borrow_mut().activate_after(&address, NAP);
                return;
            }
            let end = ((epoch + 1) * EPOCH_ROWS).min(range.rows);
            output.session(&*time).give_iterator((next..end).map(|i| range.row(i)));
            next = end;
            time.downgrade(&(epoch + 1));
            if next == range.rows {
                capability = None;
            } else {
                again.activate();
            }
        }
    })
}

/// Takes the results; with `verify` counts them and adds up their digests.
fn discard<'s, T: 'static>(results: Stream<'s, u64, Vec<T>>, done: &Handle<u64>, verify: bool, digest: impl Fn(&T) -> u64 + 'static) {
    results
        .unary::<CapacityContainerBuilder<Vec<()>>, _, _, _>(Pipeline, "discard", move |_, _| {
            move |input, _| {
                input.for_each(|_, batch| {
                    if !verify {
                        return;
                    }
                    RESULTS.fetch_add(batch.len() as i64, Relaxed);
                    DIGEST.fetch_add(batch.iter().fold(0, |sum, one| sum.wrapping_add(digest(one))), Relaxed);
                })
            }
        })
        .probe_with(done);
}

fn by_key() -> Exchange<Row, impl FnMut(&Row) -> u64> {
    Exchange::new(|row: &Row| (row.key as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40)
}

/// Passes on every row that came through the exchange, each looked at and copied as user code would.
fn exchanged<'s>(input: Rows<'s>) -> Rows<'s> {
    input.unary::<CapacityContainerBuilder<Vec<Row>>, _, _, _>(by_key(), "pass", |_, _| {
        |input, output| input.for_each(|time, batch| output.session(&time).give_iterator(batch.drain(..)))
    })
}

/// Running sums; when they go their digest is added up.
struct Sums {
    of_key: FxHashMap<i64, i64>,
    verify: bool,
}

impl Drop for Sums {
    fn drop(&mut self) {
        if self.verify {
            let digest = self.of_key.iter().fold(0u64, |sum, (key, value)| sum.wrapping_add(mix(*key as u64).wrapping_mul(*value as u64)));
            DIGEST.fetch_add(digest, Relaxed);
        }
    }
}

/// One result a row: the sum of its key so far.
fn summed<'s>(input: Rows<'s>, keys: u64, verify: bool) -> Rows<'s> {
    input.unary::<CapacityContainerBuilder<Vec<Row>>, _, _, _>(by_key(), "sum", move |_, _| {
        let mut sums = Sums { of_key: HashMap::with_capacity_and_hasher(keys as usize, FxBuildHasher), verify };
        move |input, output| {
            input.for_each(|time, batch| {
                let mut session = output.session(&time);
                for row in batch.drain(..) {
                    let sum = sums.of_key.entry(row.key).or_insert(0);
                    *sum += row.value;
                    session.give(Row { value: *sum, ..row });
                }
            })
        }
    })
}

/// A second of event time that has not ended.
struct Window {
    second: i64,
    capability: Capability<u64>,
    counts: FxHashMap<i64, i64>,
}

/// Count by key in tumbling windows of one second: (key, end of the window in ms, count).
fn counted<'s>(input: Rows<'s>, keys: u64, workers: u64) -> Stream<'s, u64, Vec<(i64, i64, i64)>> {
    // An epoch never spans two windows, so a window is complete when its last epoch is.
    let epochs_a_window = ROWS_PER_SECOND / workers / EPOCH_ROWS;
    assert_eq!(epochs_a_window * workers * EPOCH_ROWS, ROWS_PER_SECOND, "--workers must divide 100");
    let end_of = move |second: i64| (second as u64 + 1) * epochs_a_window;
    input.unary_frontier::<CapacityContainerBuilder<Vec<(i64, i64, i64)>>, _, _, _>(by_key(), "count", move |_, _| {
        let mut open: Vec<Window> = Vec::new();
        move |(input, frontier), output| {
            input.for_each(|time, batch| {
                let mut rest = &batch[..];
                while let Some(first) = rest.first() {
                    let second = first.ts / SECOND_MS;
                    let at = open.iter().position(|window| window.second == second).unwrap_or_else(|| {
                        let capability = time.retain_least(output.output_index()).expect("the batch's own time").delayed(&end_of(second));
                        open.push(Window { second, capability, counts: HashMap::with_capacity_and_hasher(keys as usize, FxBuildHasher) });
                        open.len() - 1
                    });
                    let counts = &mut open[at].counts;
                    let mut taken = 0;
                    for row in rest.iter().take_while(|row| row.ts / SECOND_MS == second) {
                        *counts.entry(row.key).or_insert(0) += 1;
                        taken += 1;
                    }
                    rest = &rest[taken..];
                }
                batch.clear();
            });
            let mut at = 0;
            while at < open.len() {
                if frontier.less_than(&end_of(open[at].second)) {
                    at += 1;
                    continue;
                }
                let Window { second, capability, counts } = open.swap_remove(at);
                let end = (second + 1) * SECOND_MS;
                output.session(&capability).give_iterator(counts.into_iter().map(|(key, count)| (key, end, count)));
            }
        }
    })
}

fn build<'s>(scope: Scope<'s, u64>, case: &Case, done: &Handle<u64>, worker: u64) {
    let keys = if case.name == "window" { 10_000 } else { 1_000_000 };
    let input = generated(scope, Range::new(case.rows, keys, worker, case.workers), done.clone());
    match case.name.as_str() {
        "generate" => discard(input, done, case.verify, |row| row.value as u64),
        "exchange" => discard(exchanged(input), done, case.verify, |row| mix(row.seq as u64)),
        // Sums has the digest: that of the last sums alone.
        "keyed_sum" => discard(summed(input, keys / case.workers, case.verify), done, case.verify, |_| 0),
        "window" => discard(counted(input, keys, case.workers), done, case.verify, |(key, end, count)| {
            mix((key * 31 + end) as u64).wrapping_mul(*count as u64)
        }),
        other => give_up(&format!("no case '{other}'")),
    }
}

fn give_up(why: &str) -> ! {
    eprintln!("timely_peer: {why}\ntimely_peer generate|exchange|keyed_sum|window --rows N [--workers N] [--verify]");
    std::process::exit(2)
}

fn parse() -> Case {
    let mut case = Case { name: String::new(), rows: 0, workers: 1, verify: false };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|n| n.parse().ok()).filter(|n| *n > 0).unwrap_or_else(|| give_up(&format!("{word} needs a number")));
        match word.as_str() {
            "--verify" => case.verify = true,
            "--rows" => case.rows = number(),
            "--workers" => case.workers = number(),
            name if case.name.is_empty() && !name.starts_with('-') => case.name = name.into(),
            other => give_up(&format!("'{other}' is not understood")),
        }
    }
    if case.rows == 0 || case.rows % case.workers != 0 {
        give_up("--rows must be a multiple of --workers");
    }
    case
}

fn main() {
    let case = parse();
    let config = if case.workers == 1 { timely::Config::thread() } else { timely::Config::process(case.workers as usize) };
    let shared = case.clone();
    timely::execute(config, move |worker| {
        let index = worker.index() as u64;
        let done = Handle::new();
        worker.dataflow::<u64, _, _>(|scope| build(scope, &shared, &done, index));
        while !done.done() {
            worker.step_or_park(Some(NAP));
        }
    })
    .expect("timely starts its workers");
    println!(
        "{{\"case\":\"{}\",\"rows\":{},\"workers\":{},\"results\":{},\"digest\":{}}}",
        case.name,
        case.rows,
        case.workers,
        RESULTS.load(Relaxed),
        DIGEST.load(Relaxed) as i64
    );
}
