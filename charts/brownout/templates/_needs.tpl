{{- /* Ends the installation where the cluster has no such kind of the Prometheus Operator: {root, kind, key}. */ -}}
{{- define "brownout.needs" -}}
{{- if not (.root.Capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" .kind)) -}}
{{- fail (printf "%s: this cluster has no kind %s (monitoring.coreos.com/v1); install the Prometheus Operator first, or write false (without a cluster: helm template --api-versions monitoring.coreos.com/v1/%s)" .key .kind .kind) -}}
{{- end -}}
{{- end -}}
