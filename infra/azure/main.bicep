// What Aspire does not generate: where metrics are kept, what takes them there, the alerts on them and the workbook that shows them.
// Deployed into the resource group that `azd up` made; infra/README.md says how.

@description('Region.')
param location string = resourceGroup().location

@description('The Container Apps environment that `azd up` made; the collector runs beside the modules.')
param containerAppsEnvironmentName string

@description('Application Insights, for traces and logs; empty sends them nowhere but the log of the collector.')
@secure()
param applicationInsightsConnectionString string = ''

@description('Action groups that wake somebody.')
param pageActionGroupIds array = []

@description('Action groups that somebody looks at on the next working day.')
param ticketActionGroupIds array = []

@description('OpenTelemetry Collector, contrib distribution, by version.')
param collectorImage string = 'docker.io/otel/opentelemetry-collector-contrib:0.162.0'

// Built-in role: Monitoring Metrics Publisher.
var metricsPublisher = '3913510d-42f4-4e42-8a64-420c390055eb'
var name = 'wave16-${uniqueString(resourceGroup().id)}'

resource environment 'Microsoft.App/managedEnvironments@2024-03-01' existing = {
  name: containerAppsEnvironmentName
}

resource workspace 'Microsoft.Monitor/accounts@2023-04-03' = {
  name: name
  location: location
}

resource endpoint 'Microsoft.Insights/dataCollectionEndpoints@2022-06-01' = {
  name: name
  location: location
  kind: 'Linux'
  properties: {}
}

resource rule 'Microsoft.Insights/dataCollectionRules@2022-06-01' = {
  name: name
  location: location
  kind: 'Linux'
  properties: {
    dataCollectionEndpointId: endpoint.id
    dataSources: {
      prometheusForwarder: [
        {
          name: 'collector'
          streams: [
            'Microsoft-PrometheusMetrics'
          ]
          labelIncludeFilter: {}
        }
      ]
    }
    destinations: {
      monitoringAccounts: [
        {
          name: 'workspace'
          accountResourceId: workspace.id
        }
      ]
    }
    dataFlows: [
      {
        streams: [
          'Microsoft-PrometheusMetrics'
        ]
        destinations: [
          'workspace'
        ]
      }
    ]
  }
}

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: '${name}-collector'
  location: location
}

resource mayPublish 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(rule.id, identity.id, metricsPublisher)
  scope: rule
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', metricsPublisher)
  }
}

// The modules send to http://otel-collector: OTEL_EXPORTER_OTLP_ENDPOINT, with OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf.
resource collector 'Microsoft.App/containerApps@2024-03-01' = {
  name: 'otel-collector'
  location: location
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
    }
  }
  properties: {
    managedEnvironmentId: environment.id
    configuration: {
      activeRevisionsMode: 'Single'
      ingress: {
        external: false
        targetPort: 4318
        transport: 'http'
        allowInsecure: true
      }
      secrets: concat([
        {
          name: 'config'
          value: loadTextContent('../otel-collector.yaml')
        }
      ], empty(applicationInsightsConnectionString) ? [] : [
        {
          name: 'application-insights'
          value: applicationInsightsConnectionString
        }
      ])
    }
    template: {
      containers: [
        {
          name: 'otel-collector'
          image: collectorImage
          args: [
            '--config=/etc/otelcol/config'
          ]
          env: concat([
            {
              name: 'METRICS_EXPORTERS'
              value: '[prometheusremotewrite]'
            }
            {
              name: 'PROMETHEUS_REMOTE_WRITE_URL'
              value: '${endpoint.properties.metricsIngestion.endpoint}/dataCollectionRules/${rule.properties.immutableId}/streams/Microsoft-PrometheusMetrics/api/v1/write?api-version=2023-04-24'
            }
            {
              name: 'AZURE_CLIENT_ID'
              value: identity.properties.clientId
            }
          ], empty(applicationInsightsConnectionString) ? [] : [
            {
              name: 'TRACES_EXPORTERS'
              value: '[azuremonitor]'
            }
            {
              name: 'APPLICATIONINSIGHTS_CONNECTION_STRING'
              secretRef: 'application-insights'
            }
          ])
          resources: {
            cpu: json('0.5')
            memory: '1Gi'
          }
          probes: [
            {
              type: 'Liveness'
              httpGet: {
                path: '/'
                port: 13133
              }
            }
          ]
          volumeMounts: [
            {
              volumeName: 'config'
              mountPath: '/etc/otelcol'
            }
          ]
        }
      ]
      scale: {
        minReplicas: 1
        maxReplicas: 1
      }
      volumes: [
        {
          name: 'config'
          storageType: 'Secret'
          secrets: [
            {
              secretRef: 'config'
              path: 'config'
            }
          ]
        }
      ]
    }
  }
  dependsOn: [
    mayPublish
  ]
}

module alerts 'alerts.bicep' = {
  name: 'alerts'
  params: {
    location: location
    workspaceId: workspace.id
    pageActionGroupIds: pageActionGroupIds
    ticketActionGroupIds: ticketActionGroupIds
  }
}

resource workbook 'Microsoft.Insights/workbooks@2022-04-01' = {
  name: guid(resourceGroup().id, 'wave16')
  location: location
  kind: 'shared'
  properties: {
    displayName: 'Wave 16'
    category: 'workbook'
    sourceId: workspace.id
    version: 'Notebook/1.0'
    serializedData: replace(loadTextContent('workbooks/wave16.json'), '{workspace-id}', workspace.id)
  }
}

output workspaceId string = workspace.id
output queryEndpoint string = workspace.properties.metrics.prometheusQueryEndpoint
