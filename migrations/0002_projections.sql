-- Immutable policy versions: a generation names the one it was classified by.
create table opstruth.policies (
  version    int primary key generated always as identity,
  document   jsonb not null,
  digest     text not null unique,
  created_at timestamptz not null default now(),
  created_by text not null,
  reason     text
);

-- A generation is one PostgreSQL schema with every read table, and this row. All its tables are true at one
-- checkpoint, the position of the last event folded into them. `epoch` moves when somebody other than the
-- projector changes the generation's content (a parked event retried), so that the projector drops its cache.
create table opstruth.generations (
  id                 int primary key generated always as identity,
  schema_name        text not null unique,
  state              text not null check (state in ('building', 'ready', 'live', 'standby', 'retired', 'failed')),
  classifier_version int not null,
  policy_version     int not null references opstruth.policies (version),
  surfaces_digest    text not null,
  log_identity       text not null,
  checkpoint_commit  numeric(20) not null default 0,
  checkpoint_prepare numeric(20) not null default 0,
  epoch              bigint not null default 0,
  events_applied     bigint not null default 0,
  checkpoint_at      timestamptz,
  created_at         timestamptz not null default now(),
  failure            text
);
-- One live generation, whoever switches: the second switch fails instead of making two truths.
create unique index generations_one_live on opstruth.generations ((state)) where state = 'live';

-- Who does a job that only one process may do. A holder that stops renewing (killed, paused, cut off) loses it by
-- the database's clock; the checkpoint's compare-and-set fences one that does not know it yet.
create table opstruth.leases (
  name       text primary key,
  holder     text not null,
  expires_at timestamptz not null
);

-- The answers already given to commands that carried an Idempotency-Key, per subject of the token.
create table opstruth.idempotency_keys (
  subject        text not null,
  key            text not null,
  request_digest text not null,
  command_id     uuid not null,
  status         int,
  response       json,
  created_at     timestamptz not null default now(),
  primary key (subject, key)
);
create index idempotency_keys_created_at on opstruth.idempotency_keys (created_at);

-- Events that an operator has decided to leave out of every projection, with who and why. The log keeps them.
create table opstruth.discarded_events (
  stream_id    text not null,
  revision     int not null,
  actor        text not null,
  reason       text not null,
  discarded_at timestamptz not null default now(),
  primary key (stream_id, revision)
);
