{{- /* What the operator does with objects of a namespace. A test holds these verbs against those that the API server saw. */ -}}
{{- define "brownout.rules.operator" -}}
- apiGroups: [brownout.dev]
  resources: [inferencescalers, usertiers, featurepolicies, featureoverrides]
  verbs: [list, watch]
- apiGroups: [brownout.dev]
  resources: [inferencescalers/status, usertiers/status, featurepolicies/status, featureoverrides/status]
  verbs: [patch]
{{- range .Values.scaleTargets }}
{{- if has "apps" .apiGroups }}
{{- range .resources }}
{{- if has . (list "deployments" "statefulsets") }}
- apiGroups: [apps] # of other kinds /scale alone is read
  resources: [{{ . }}]
  verbs: [list, watch]
{{- end }}
{{- end }}
{{- end }}
- apiGroups: {{ toJson .apiGroups }}
  resources:
    {{- range .resources }}
    - {{ . }}/scale
    {{- end }}
  verbs: [get, patch]
{{- end }}
{{ include "brownout.rules.events" . }}
{{- if .Values.operator.featureFlag }}
- apiGroups: [core.openfeature.dev] # never update or delete: somebody else's are left alone
  resources: [featureflags]
  verbs: [get, create, patch]
{{- end }}
{{- end -}}

{{- define "brownout.rules.events" -}}
- apiGroups: [events.k8s.io] # a changed decision each
  resources: [events]
  verbs: [create]
{{- end -}}

{{- /* What it does with the cluster's: the GPUs there are, who holds them, and what bounds them, whosever they are. */ -}}
{{- define "brownout.rules.pools" -}}
- apiGroups: [brownout.dev]
  resources: [gpupools]
  verbs: [list, watch]
- apiGroups: [brownout.dev]
  resources: [gpupools/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [nodes, pods, namespaces, resourcequotas]
  verbs: [list, watch]
{{- end -}}

{{- define "brownout.rules.flags" -}}
- apiGroups: [brownout.dev]
  resources: [inferencescalers, usertiers, featurepolicies, featureoverrides]
  verbs: [list, watch]
{{- end -}}

{{- /* A role and its binding. `kind` is Role or ClusterRole, `namespace` the Role's; `rules` the text of the rules. */ -}}
{{- define "brownout.grant" -}}
{{- $name := printf "%s-%s" (include "brownout.fullname" .root) .component }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .kind }}
metadata:
  name: {{ $name }}{{ .suffix }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels: {{- include "brownout.labels" . | nindent 4 }}
rules: {{- .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .kind }}Binding
metadata:
  name: {{ $name }}{{ .suffix }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels: {{- include "brownout.labels" . | nindent 4 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: {{ .kind }}, name: {{ $name }}{{ .suffix }}}
subjects:
  - {kind: ServiceAccount, name: {{ include "brownout.account" . }}, namespace: {{ .root.Release.Namespace }}}
{{- end -}}

{{- /* Who of several operators decides. What is to be created has no name yet that RBAC could know. */ -}}
{{- define "brownout.rules.lease" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "brownout.fullname" . }}-operator]
  verbs: [get, update]
{{- end -}}
