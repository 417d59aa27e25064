-- Which events readers may see, as docs/adr/0015 tells: those below the oldest transaction that is appending. Until here
-- it was the oldest that was writing anything, anywhere on the server.

-- Who holds this advisory lock, shared, may be appending: its two keys, here as `pg_locks` shows them.
create function opstruth.is_append_lock(held pg_locks) returns boolean language sql stable as $$
  select held.locktype = 'advisory' and held.granted and held.objsubid = 2
    and held.classid = 'opstruth.events'::regclass and held.objid = 1
    and held.database = (select oid from pg_database where datname = current_database())
$$;

-- Every appender announces itself before it has a transaction id, by a lock that it keeps until it has committed. One
-- that has an id already would announce itself too late: a reader may have gone past that id.
create function opstruth.announce_append() returns trigger language plpgsql as $$
begin
  if pg_current_xact_id_if_assigned() is not null and not exists (
    select from pg_locks l where l.pid = pg_backend_pid() and opstruth.is_append_lock(l)
  ) then
    raise exception 'events must be the first that a transaction writes'
      using hint = 'append in a transaction of its own: see docs/adr/0015';
  end if;
  perform pg_advisory_xact_lock_shared('opstruth.events'::regclass::oid::int, 1);
  return null;
end
$$;

-- Waits for the appenders of today, who have not announced themselves.
create trigger announce_append before insert on opstruth.events
  for each statement execute function opstruth.announce_append();

-- No event with a transaction id below this will appear any more to a statement that begins after the call.
create function opstruth.log_horizon() returns xid8 language plpgsql as $$
declare
  -- Before the locks are looked at: who has committed by then is in no list of locks, and seen by later statements.
  running constant pg_snapshot := pg_current_snapshot();
  horizon xid8;
begin
  -- A statement of such a transaction sees nothing later than its beginning, and the locks are of now.
  if current_setting('transaction_isolation') <> 'read committed' then
    return pg_snapshot_xmin(running);
  end if;
  if pg_snapshot_xmin(running) = pg_snapshot_xmax(running) then
    return pg_snapshot_xmax(running);
  end if;
  with held as materialized (
    select virtualtransaction as holder, transactionid as id, opstruth.is_append_lock(l) as announces
    from pg_locks l where granted and (locktype = 'advisory' or locktype = 'transactionid' and mode = 'ExclusiveLock')
  ), appending as (
    select array_agg(id) filter (where id is not null) as ids from held group by holder having bool_or(announces)
  )
  select case
      -- Its id is being given to it now, and may be one of those that run.
      when exists (select from appending where ids is null) then pg_snapshot_xmin(running)
      else (
        select min(id) from pg_snapshot_xip(running) id
        where exists (select from appending where id::xid = any (ids))
      )
    end
  into horizon;
  return coalesce(horizon, pg_snapshot_xmax(running));
end
$$;

-- Events after a position, in the order of the log, as far as they may be read.
create function opstruth.readable_events(
  after_commit xid8, after_position bigint, most int, only_types text[] default null
) returns setof opstruth.events language plpgsql rows 1000 as $$
declare
  horizon constant xid8 := opstruth.log_horizon();
begin
  return query
    select * from opstruth.events
    where (commit_xid, position) > (after_commit, after_position) and commit_xid < horizon
      and (only_types is null or type = any (only_types))
    order by commit_xid, position
    limit most;
end
$$;
