-- The event log of the write side, for the PostgreSQL adapter in src/event-store.
--
-- Order: identity values are handed out before their transactions commit, so a reader that remembers only a sequence
-- number skips whoever commits late. Each event therefore carries its transaction's id. Readers stay below the oldest
-- transaction still running (pg_snapshot_xmin) and go by (commit_xid, position), where nothing can appear any more.
-- One rule keeps the revisions of a stream in that order: an append is one statement in a transaction of its own, so
-- that it takes its transaction id after its snapshot, and exceeds that of every event it saw.
create table opstruth.events (
  commit_xid  xid8        not null default pg_current_xact_id(),
  position    bigint      generated always as identity,
  recorded_at timestamptz not null default clock_timestamp(),
  event_id    uuid        not null,
  revision    int         not null,
  -- "C": ids are compared byte by byte, which is what keeps the index on them cheap.
  stream_id   text        collate "C" not null,
  type        text        collate "C" not null,
  -- json, not jsonb: payloads are written once and read whole, so the text stays as it came.
  data        json        not null,
  metadata    json        not null,
  constraint events_in_log_order primary key (commit_xid, position),
  -- Refuses the second of two appenders that saw the same tail.
  constraint events_in_stream_order unique (stream_id, revision)
);

create function opstruth.notify_events() returns trigger language plpgsql as $$
begin
  perform pg_notify('opstruth_events', '');
  return null;
end
$$;

create trigger notify_events after insert on opstruth.events
  for each statement execute function opstruth.notify_events();

-- The log's name for life, given at its first use: two databases cloned from one migrated template are two logs.
create table opstruth.event_log (
  only_row   boolean     primary key default true check (only_row),
  identity   uuid        not null default gen_random_uuid(),
  created_at timestamptz not null default now()
);
