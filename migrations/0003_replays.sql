-- How a generation came to be, and how far its making is. A replay is the making of one: its id is the generation's.
alter table opstruth.generations
  -- `first`: projected from the beginning. `full`: rebuilt from the log. `facts`: reclassified from another's run facts.
  add column made_by          text not null default 'first' check (made_by in ('first', 'full', 'facts')),
  add column made_from        int references opstruth.generations (id),
  -- A historical generation stops here and never follows the log: by source time, or by position.
  add column until_at         timestamptz,
  add column until_commit     numeric(20),
  add column until_prepare    numeric(20),
  -- Loading has no secondary indexes; `following` has all of them.
  add column phase            text not null default 'following' check (phase in ('loading', 'indexing', 'following')),
  -- Events (or runs, when made from facts) to go through, as counted at the start.
  add column work_total       bigint not null default 0,
  add column work_done        bigint not null default 0,
  add column started_at       timestamptz,
  add column ready_at         timestamptz,
  add column requested_by     text,
  add column reason           text;

-- What operators did to projections, one entry per action that changed something.
create table opstruth.audit_entries (
  id         bigint primary key generated always as identity,
  at         timestamptz not null default now(),
  actor      text not null,
  action     text not null,
  generation int references opstruth.generations (id),
  reason     text,
  details    jsonb not null default '{}'
);
