-- A build from the log has two long parts, each with a progress of its own: `folding` (log -> run facts) and `loading`
-- (run facts -> read tables). `work_total` and `work_done` stay those of the whole: events, or runs when made from facts.
alter table opstruth.generations drop constraint generations_phase_check;
alter table opstruth.generations
  add constraint generations_phase_check check (phase in ('folding', 'loading', 'indexing', 'following')),
  add column phase_started_at timestamptz,
  -- Runs that `loading` goes through, as counted at its beginning, and those that are in all tables.
  add column runs_total bigint not null default 0,
  add column runs_loaded bigint not null default 0;
