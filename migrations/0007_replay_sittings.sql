-- A build may be killed and taken over, perhaps hours later. Rates are of work that was done while somebody worked.
alter table opstruth.generations
  -- Events that were folded before the present builder took over; `phase_started_at` is when it did.
  add column phase_done_before bigint not null default 0,
  -- Seconds since `started_at` in which nobody built, or what was built was lost.
  add column idle_seconds double precision not null default 0;
