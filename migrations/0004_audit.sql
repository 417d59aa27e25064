-- What the continuous audit of a generation came to: one row per generation, brought up to date by each sample. Any
-- process can tell it, and a finding stays to be seen when the next samples happen to hit other runs.
create table opstruth.audit_results (
  generation        int primary key references opstruth.generations (id),
  last_at           timestamptz not null,
  last_runs         int not null,
  last_differences  int not null,
  runs_total        bigint not null,
  differences_total bigint not null,
  -- The newest sample that differed, and the first few of its differences.
  found_at          timestamptz,
  found             jsonb
);
