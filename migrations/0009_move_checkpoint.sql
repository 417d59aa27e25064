-- Moves a generation's checkpoint on from where the caller believes it to be: the one guard that no two processes apply
-- the same events, whatever they believe of the lease. It raises where an update would find no row, so that a transaction
-- can be sent whole: what comes behind it is refused with it, the commit included.
create function opstruth.move_checkpoint(
  generation int, its_epoch bigint, from_commit numeric, from_prepare numeric, to_commit numeric, to_prepare numeric,
  events bigint
) returns void language plpgsql as $$
begin
  update opstruth.generations g
  set checkpoint_commit = to_commit, checkpoint_prepare = to_prepare, events_applied = g.events_applied + events,
    checkpoint_at = now()
  where g.id = generation and g.epoch = its_epoch
    and g.checkpoint_commit = from_commit and g.checkpoint_prepare = from_prepare
    and g.state in ('building', 'ready', 'live', 'standby');
  if not found then
    raise exception 'generation % is no longer at %.%: another process has moved it', generation, from_commit, from_prepare
      using errcode = 'OT001';
  end if;
end
$$;
