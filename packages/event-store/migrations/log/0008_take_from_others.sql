-- As before, but nobody takes from itself: while prolonging a lease takes longer than it lasts, as on a slow disk, a process
-- would become its own successor, with two owners of one partition at work in it.
create or replace function es.take_partitions(_owner text, _ttl interval, _wanted int)
returns table (p smallint, epoch bigint, next_pos bigint, published_pos bigint)
language sql as $$
  update es.partition l set owner = _owner, epoch = l.epoch + 1, lease_until = clock_timestamp() + _ttl
  from (select f.p from es.partition f where f.owner is null or (f.lease_until < clock_timestamp() and f.owner <> _owner)
        order by f.p limit _wanted for update skip locked) free
  where l.p = free.p returning l.p, l.epoch, l.next_pos, l.published_pos $$;
