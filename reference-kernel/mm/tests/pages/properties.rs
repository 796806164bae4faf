//! Any memory and any requests: what must hold of every allocator.

use mm::page::bestfit::BestFit;
use mm::page::buddy::Buddy;
use mm::page::trusted::TrustedList;

use crate::cases::check;
use crate::model::Algorithm;

#[test]
fn a_buddy_allocator_answers_any_requests_over_any_memory_as_a_set_of_pages_would() {
    check(Buddy::new, Algorithm::Buddy);
}

#[test]
fn a_trusted_list_answers_any_requests_over_any_memory_as_a_set_of_pages_would() {
    check(TrustedList::new, Algorithm::List);
}

#[test]
fn a_best_fit_allocator_answers_any_requests_over_any_memory_as_a_set_of_pages_would() {
    check(BestFit::new, Algorithm::BestFit);
}
