-- Argo CD's health check for an EchoCluster; docs/gitops.md has its installation. Argo CD sets `obj` and reads the returned table.
local status = obj.status or {}
local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end
local ready, reconciling, stalled = conditions.Ready, conditions.Reconciling, conditions.Stalled

local function isTrue(condition)
  return condition ~= nil and condition.status == "True"
end
local function health(name, condition, otherwise)
  return { status = name, message = condition ~= nil and condition.message or otherwise }
end

if obj.metadata.deletionTimestamp ~= nil then
  return health("Progressing", isTrue(reconciling) and reconciling or nil, "The EchoCluster is being deleted.")
end
if status.observedGeneration ~= obj.metadata.generation then
  local nothingObserved = status.observedGeneration == nil or status.observedGeneration == 0
  return health("Progressing", nothingObserved and ready or nil, "The operator has not observed the latest generation yet.")
end
if obj.spec.paused then
  return health("Suspended", ready, "spec.paused is true.")
end
if isTrue(stalled) then
  return health("Degraded", stalled)
end
if isTrue(reconciling) then
  return health("Progressing", reconciling)
end
if isTrue(ready) then
  return health("Healthy", ready)
end
return health("Progressing", ready, "The condition Ready is missing.")
