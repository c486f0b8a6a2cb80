// Generated from modules/vuln-center/docs/slo.yaml, and not edited by hand; infra/README.md says how. job is the scrape job,
// named like the module, or service.name where metrics come over OTLP.

@description('Region of the Azure Monitor workspace.')
param location string

@description('The Azure Monitor workspace that holds the metrics.')
param workspaceId string

@description('Action groups that wake somebody.')
param pageActionGroupIds array

@description('Action groups that somebody looks at on the next working day.')
param ticketActionGroupIds array

var page = [for id in pageActionGroupIds: { actionGroupId: id }]
var ticket = [for id in ticketActionGroupIds: { actionGroupId: id }]

resource levels 'Microsoft.AlertsManagement/prometheusRuleGroups@2023-03-01' = {
  name: 'wave16-vuln-center-levels'
  location: location
  properties: {
    scopes: [
      workspaceId
    ]
    interval: 'PT1M'
    rules: [
      {
        record: 'slo:sli_error:ratio_rate5m'
        expression: 'sum(rate(http_server_request_duration_seconds_count{job="vuln-center", http_response_status_code=~"5.."}[5m])) / sum(rate(http_server_request_duration_seconds_count{job="vuln-center"}[5m]))'
        labels: {
          service: 'vuln-center'
          objective: 'availability'
        }
      }
      {
        record: 'slo:sli_error:ratio_rate30m'
        expression: 'sum(rate(http_server_request_duration_seconds_count{job="vuln-center", http_response_status_code=~"5.."}[30m])) / sum(rate(http_server_request_duration_seconds_count{job="vuln-center"}[30m]))'
        labels: {
          service: 'vuln-center'
          objective: 'availability'
        }
      }
      {
        record: 'slo:sli_error:ratio_rate1h'
        expression: 'sum(rate(http_server_request_duration_seconds_count{job="vuln-center", http_response_status_code=~"5.."}[1h])) / sum(rate(http_server_request_duration_seconds_count{job="vuln-center"}[1h]))'
        labels: {
          service: 'vuln-center'
          objective: 'availability'
        }
      }
      {
        record: 'slo:sli_error:ratio_rate6h'
        expression: 'sum(rate(http_server_request_duration_seconds_count{job="vuln-center", http_response_status_code=~"5.."}[6h])) / sum(rate(http_server_request_duration_seconds_count{job="vuln-center"}[6h]))'
        labels: {
          service: 'vuln-center'
          objective: 'availability'
        }
      }
      {
        record: 'slo:sli_error:ratio_rate3d'
        expression: 'sum(rate(http_server_request_duration_seconds_count{job="vuln-center", http_response_status_code=~"5.."}[3d])) / sum(rate(http_server_request_duration_seconds_count{job="vuln-center"}[3d]))'
        labels: {
          service: 'vuln-center'
          objective: 'availability'
        }
      }
      {
        record: 'slo:sli_error:ratio_rate5m'
        expression: '(sum(rate(http_server_request_duration_seconds_count{job="vuln-center", http_request_method="GET"}[5m])) - sum(rate(http_server_request_duration_seconds_bucket{job="vuln-center", http_request_method="GET", le="0.25"}[5m]))) / sum(rate(http_server_request_duration_seconds_count{job="vuln-center", http_request_method="GET"}[5m]))'
        labels: {
          service: 'vuln-center'
          objective: 'latency'
        }
      }
      {
        record: 'slo:sli_error:ratio_rate30m'
        expression: '(sum(rate(http_server_request_duration_seconds_count{job="vuln-center", http_request_method="GET"}[30m])) - sum(rate(http_server_request_duration_seconds_bucket{job="vuln-center", http_request_method="GET", le="0.25"}[30m]))) / sum(rate(http_server_request_duration_seconds_count{job="vuln-center", http_request_method="GET"}[30m]))'
        labels: {
          service: 'vuln-center'
          objective: 'latency'
        }
      }
      {
        record: 'slo:sli_error:ratio_rate1h'
        expression: '(sum(rate(http_server_request_duration_seconds_count{job="vuln-center", http_request_method="GET"}[1h])) - sum(rate(http_server_request_duration_seconds_bucket{job="vuln-center", http_request_method="GET", le="0.25"}[1h]))) / sum(rate(http_server_request_duration_seconds_count{job="vuln-center", http_request_method="GET"}[1h]))'
        labels: {
          service: 'vuln-center'
          objective: 'latency'
        }
      }
      {
        record: 'slo:sli_error:ratio_rate6h'
        expression: '(sum(rate(http_server_request_duration_seconds_count{job="vuln-center", http_request_method="GET"}[6h])) - sum(rate(http_server_request_duration_seconds_bucket{job="vuln-center", http_request_method="GET", le="0.25"}[6h]))) / sum(rate(http_server_request_duration_seconds_count{job="vuln-center", http_request_method="GET"}[6h]))'
        labels: {
          service: 'vuln-center'
          objective: 'latency'
        }
      }
      {
        record: 'slo:sli_error:ratio_rate3d'
        expression: '(sum(rate(http_server_request_duration_seconds_count{job="vuln-center", http_request_method="GET"}[3d])) - sum(rate(http_server_request_duration_seconds_bucket{job="vuln-center", http_request_method="GET", le="0.25"}[3d]))) / sum(rate(http_server_request_duration_seconds_count{job="vuln-center", http_request_method="GET"}[3d]))'
        labels: {
          service: 'vuln-center'
          objective: 'latency'
        }
      }
      {
        record: 'slo:sli_error:increase1h'
        expression: 'sum(increase(http_server_request_duration_seconds_count{job="vuln-center", http_response_status_code=~"5.."}[1h]))'
        labels: {
          service: 'vuln-center'
          objective: 'availability'
        }
      }
      {
        record: 'slo:sli_error:increase6h'
        expression: 'sum(increase(http_server_request_duration_seconds_count{job="vuln-center", http_response_status_code=~"5.."}[6h]))'
        labels: {
          service: 'vuln-center'
          objective: 'availability'
        }
      }
      {
        record: 'slo:sli_error:increase3d'
        expression: 'sum(increase(http_server_request_duration_seconds_count{job="vuln-center", http_response_status_code=~"5.."}[3d]))'
        labels: {
          service: 'vuln-center'
          objective: 'availability'
        }
      }
      {
        record: 'slo:sli_error:increase1h'
        expression: '(sum(increase(http_server_request_duration_seconds_count{job="vuln-center", http_request_method="GET"}[1h])) - sum(increase(http_server_request_duration_seconds_bucket{job="vuln-center", http_request_method="GET", le="0.25"}[1h])))'
        labels: {
          service: 'vuln-center'
          objective: 'latency'
        }
      }
      {
        record: 'slo:sli_error:increase6h'
        expression: '(sum(increase(http_server_request_duration_seconds_count{job="vuln-center", http_request_method="GET"}[6h])) - sum(increase(http_server_request_duration_seconds_bucket{job="vuln-center", http_request_method="GET", le="0.25"}[6h])))'
        labels: {
          service: 'vuln-center'
          objective: 'latency'
        }
      }
      {
        record: 'slo:sli_error:increase3d'
        expression: '(sum(increase(http_server_request_duration_seconds_count{job="vuln-center", http_request_method="GET"}[3d])) - sum(increase(http_server_request_duration_seconds_bucket{job="vuln-center", http_request_method="GET", le="0.25"}[3d])))'
        labels: {
          service: 'vuln-center'
          objective: 'latency'
        }
      }
    ]
  }
}

resource alerts 'Microsoft.AlertsManagement/prometheusRuleGroups@2023-03-01' = {
  name: 'wave16-vuln-center'
  location: location
  properties: {
    scopes: [
      workspaceId
    ]
    interval: 'PT1M'
    rules: [
      {
        alert: 'VulnCenterErrors'
        expression: '( slo:sli_error:ratio_rate1h{service="vuln-center", objective="availability"} > 0.0144 and slo:sli_error:ratio_rate5m{service="vuln-center", objective="availability"} > 0.0144 and slo:sli_error:increase1h{service="vuln-center", objective="availability"} >= 10 ) or ( slo:sli_error:ratio_rate6h{service="vuln-center", objective="availability"} > 0.006 and slo:sli_error:ratio_rate30m{service="vuln-center", objective="availability"} > 0.006 and slo:sli_error:increase6h{service="vuln-center", objective="availability"} >= 10 )'
        severity: 1
        actions: page
        resolveConfiguration: {
          autoResolved: true
          timeToResolve: 'PT10M'
        }
        labels: {
          severity: 'page'
          service: 'vuln-center'
        }
        annotations: {
          summary: 'vuln-center answers requests with server errors, so many that the 0.1 % allowed in 30 days are soon used up'
          runbook: 'modules/vuln-center/docs/runbook.md#errors'
        }
      }
      {
        alert: 'VulnCenterErrorsBudget'
        expression: '( slo:sli_error:ratio_rate3d{service="vuln-center", objective="availability"} > 0.001 and slo:sli_error:ratio_rate6h{service="vuln-center", objective="availability"} > 0.001 and slo:sli_error:increase3d{service="vuln-center", objective="availability"} >= 10 )'
        severity: 3
        actions: ticket
        resolveConfiguration: {
          autoResolved: true
          timeToResolve: 'PT10M'
        }
        labels: {
          severity: 'ticket'
          service: 'vuln-center'
        }
        annotations: {
          summary: 'vuln-center answers requests with server errors, so many that the 0.1 % allowed in 30 days are soon used up; slowly, and for days'
          runbook: 'modules/vuln-center/docs/runbook.md#errors'
        }
      }
      {
        alert: 'VulnCenterSilent'
        expression: 'absent(dotnet_process_memory_working_set_bytes{job="vuln-center"})'
        for: 'PT5M'
        severity: 1
        actions: page
        resolveConfiguration: {
          autoResolved: true
          timeToResolve: 'PT10M'
        }
        labels: {
          severity: 'page'
          service: 'vuln-center'
        }
        annotations: {
          summary: 'No replica of vuln-center has reported metrics for five minutes'
          runbook: 'modules/vuln-center/docs/runbook.md#silent'
        }
      }
      {
        alert: 'VulnCenterSlow'
        expression: '( slo:sli_error:ratio_rate1h{service="vuln-center", objective="latency"} > 0.144 and slo:sli_error:ratio_rate5m{service="vuln-center", objective="latency"} > 0.144 and slo:sli_error:increase1h{service="vuln-center", objective="latency"} >= 10 ) or ( slo:sli_error:ratio_rate6h{service="vuln-center", objective="latency"} > 0.06 and slo:sli_error:ratio_rate30m{service="vuln-center", objective="latency"} > 0.06 and slo:sli_error:increase6h{service="vuln-center", objective="latency"} >= 10 ) or ( slo:sli_error:ratio_rate3d{service="vuln-center", objective="latency"} > 0.01 and slo:sli_error:ratio_rate6h{service="vuln-center", objective="latency"} > 0.01 and slo:sli_error:increase3d{service="vuln-center", objective="latency"} >= 10 )'
        severity: 3
        actions: ticket
        resolveConfiguration: {
          autoResolved: true
          timeToResolve: 'PT10M'
        }
        labels: {
          severity: 'ticket'
          service: 'vuln-center'
        }
        annotations: {
          summary: 'Reads of vuln-center take longer than 250 ms, the histogram\'s bucket below the objective, so often that the 1 % allowed in 30 days is soon used up'
          runbook: 'modules/vuln-center/docs/runbook.md#slow'
        }
      }
      {
        alert: 'VulnCenterGatesLate'
        expression: 'max(outbox_lag_seconds{module="vuln-center", destination="safety-console"}) > 60'
        for: 'PT1M'
        severity: 1
        actions: page
        resolveConfiguration: {
          autoResolved: true
          timeToResolve: 'PT10M'
        }
        labels: {
          severity: 'page'
          service: 'vuln-center'
        }
        annotations: {
          summary: 'Gate changes wait for safety-console for more than a minute'
          runbook: 'modules/vuln-center/docs/runbook.md#gates-late'
        }
      }
      {
        alert: 'VulnCenterDeadlinesBreached'
        expression: 'max(findings_sla{job="vuln-center", state="breached"}) / clamp_min(sum(max by (tenant, service, severity, status) (findings_open{job="vuln-center"})), 1) > 0.05'
        for: 'PT1H'
        severity: 3
        actions: ticket
        resolveConfiguration: {
          autoResolved: true
          timeToResolve: 'PT10M'
        }
        labels: {
          severity: 'ticket'
          service: 'vuln-center'
        }
        annotations: {
          summary: 'More than 5 % of the open findings are past their deadline'
          runbook: 'modules/vuln-center/docs/runbook.md#deadlines-breached'
        }
      }
    ]
  }
}
