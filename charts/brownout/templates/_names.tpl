{{- define "brownout.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride }}
{{- else if contains "brownout" .Release.Name -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-brownout" .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{- /* A part is {root, component, values, image}; a workload of inference has a name besides, and a namespace. */ -}}
{{- define "brownout.selector" -}}
app.kubernetes.io/name: brownout
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .workload }}
brownout.dev/workload: {{ . }}
{{- end }}
{{- end -}}

{{- define "brownout.labels" -}}
{{ include "brownout.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "brownout.metadata" -}}
name: {{ include "brownout.fullname" .root }}-{{ .component }}
namespace: {{ .root.Release.Namespace }}
labels: {{- include "brownout.labels" . | nindent 2 }}
{{- end -}}

{{- define "brownout.account" -}}
{{- if .values.serviceAccount.name -}}
{{ .values.serviceAccount.name }}
{{- else -}}
{{ include "brownout.fullname" .root }}-{{ .component }}
{{- end -}}
{{- end -}}

{{- define "brownout.image" -}}
{{- if .image.digest -}}
{{ printf "%s@%s" .image.repository .image.digest }}
{{- else -}}
{{ printf "%s:%s" .image.repository (.image.tag | default .root.Chart.AppVersion) }}
{{- end -}}
{{- end -}}

{{- /* What a workload of inference is: its own values above the defaults. Helm's merge takes false and 0 for nothing, so it is done by hand. */ -}}
{{- define "brownout.workload" -}}
{{- $all := deepCopy .root.Values.inference.defaults -}}
{{- range $key, $value := .own -}}
{{- if and (kindIs "map" $value) (eq $key "podDisruptionBudget") -}}
{{- range $inner, $given := $value }}{{- $_ := set (get $all $key) $inner $given }}{{- end -}}
{{- else -}}
{{- $_ := set $all $key $value -}}
{{- end -}}
{{- end -}}
{{- $_ := set $all "namespace" ($all.namespace | default .root.Release.Namespace) -}}
{{ toYaml $all }}
{{- end -}}
