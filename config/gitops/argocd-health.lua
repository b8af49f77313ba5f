-- Tells Argo CD how an EchoCluster stands; docs/gitops.md says how to install it. Argo CD sets `obj` and reads what is returned.
local conditions = {}
if obj.status ~= nil and obj.status.conditions ~= nil then
  for _, condition in ipairs(obj.status.conditions) do
    conditions[condition.type] = condition
  end
end
local ready, progressing, degraded = conditions.Ready, conditions.Progressing, conditions.Degraded
local generation = obj.metadata.generation

if obj.metadata.deletionTimestamp ~= nil then
  return { status = "Progressing", message = "The EchoCluster is being deleted." }
end
-- A request that fails again and again is told of the newest generation before that counts as observed.
if degraded ~= nil and degraded.status == "True" and degraded.observedGeneration == generation then
  return { status = "Degraded", message = degraded.message }
end
if ready == nil or progressing == nil or obj.status.observedGeneration ~= generation then
  return { status = "Progressing", message = "The operator has not yet looked at the newest change." }
end
if obj.spec.paused then
  return { status = "Suspended", message = ready.message }
end
if progressing.status == "True" then
  return { status = "Progressing", message = progressing.message }
end
if ready.status == "True" then
  return { status = "Healthy", message = ready.message }
end
return { status = "Progressing", message = ready.message }
