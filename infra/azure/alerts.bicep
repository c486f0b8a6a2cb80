// Generated, one for each module with service levels, and not edited by hand; infra/README.md says how.

@description('Region of the Azure Monitor workspace.')
param location string

@description('The Azure Monitor workspace that holds the metrics.')
param workspaceId string

@description('Action groups that wake somebody.')
param pageActionGroupIds array

@description('Action groups that somebody looks at on the next working day.')
param ticketActionGroupIds array

module vuln_center 'alerts/vuln-center.bicep' = {
  name: 'alerts-vuln-center'
  params: {
    location: location
    workspaceId: workspaceId
    pageActionGroupIds: pageActionGroupIds
    ticketActionGroupIds: ticketActionGroupIds
  }
}
