//! The whole system's tests, in one binary: each further test file would be
//! another link.

mod api;
mod api_bulk;
mod api_end;
mod api_observe;
mod api_room;
mod api_submit;
mod api_types;
mod api_walls;
mod bad_input;
mod books;
mod chaos;
mod cli;
mod cli_faults;
mod cli_submit;
mod doubt;
mod downloads;
mod faults;
mod frozen;
mod incidents;
mod intents;
mod invariants;
mod lists;
mod look;
mod operator;
mod outage;
mod private;
mod quarantine;
mod queue;
mod reconcile;
mod rescue;
mod terms;
mod twins;
mod upgrade;
mod walls;
mod worker;
