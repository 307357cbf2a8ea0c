-- A log that gets a new incarnation is an older state in the place of a newer one: its epochs are given a second time, and
-- whoever held them in the newer one may be at work still. So they go on from a number that no earlier one can have reached,
-- and nobody owns anything.
create function es.fence_all() returns trigger language plpgsql as $$
begin
  update es.partition set epoch = greatest(epoch + 1, (extract(epoch from clock_timestamp()) * 1000000)::bigint), owner = null, lease_until = null;
  return null;
end $$;
create trigger fence_all after update of incarnation on es.log
  for each row when (old.incarnation is distinct from new.incarnation) execute function es.fence_all();
