{{- /* The metadata of a pod. */ -}}
{{- define "brownout.pod.metadata" -}}
{{- $own := dict -}}
{{- if and .root.Values.scrapeAnnotations .metrics -}}
{{- $own = dict "prometheus.io/scrape" "true" "prometheus.io/port" (toString .metrics) "prometheus.io/path" "/metrics" -}}
{{- end -}}
labels:
  {{- merge (include "brownout.labels" . | fromYaml) .values.podLabels | toYaml | nindent 2 }}
{{- with merge (deepCopy .values.podAnnotations) $own }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* What the pods of every part have in common. `token` says whether it asks the API server. */ -}}
{{- define "brownout.pod" -}}
automountServiceAccountToken: {{ .token }}
{{- with .account }}
serviceAccountName: {{ . }}
{{- end }}
securityContext: {{- merge (deepCopy (.values.podSecurityContext | default dict)) .root.Values.podSecurityContext | toYaml | nindent 2 }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "brownout.spread" . }}
topologySpreadConstraints: {{- . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "brownout.spread" -}}
{{- $selector := dict "matchLabels" (include "brownout.selector" . | fromYaml) -}}
{{- if .values.topologySpreadConstraints -}}
{{- range .values.topologySpreadConstraints }}
- {{ merge (deepCopy .) (dict "labelSelector" $selector) | toYaml | nindent 2 | trim }}
{{- end -}}
{{- else if .spread -}}
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- {{ dict "maxSkew" 1 "topologyKey" . "whenUnsatisfiable" "ScheduleAnyway" "labelSelector" $selector | toYaml | nindent 2 | trim }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* The container of the operator's image. */ -}}
{{- define "brownout.container" -}}
name: {{ .component }}
image: {{ include "brownout.image" . }}
imagePullPolicy: {{ .image.pullPolicy }}
securityContext: {{- toYaml .root.Values.securityContext | nindent 2 }}
resources: {{- toYaml .values.resources | nindent 2 }}
{{- end -}}

{{- define "brownout.environment" -}}
- name: POD_IP # every server listens here, and nowhere else
  valueFrom: {fieldRef: {fieldPath: status.podIP}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
{{- end -}}

{{- define "brownout.probes" -}}
livenessProbe:
  httpGet: {path: /livez, port: 8080}
  periodSeconds: 10
  timeoutSeconds: 5 # a tick over thousands of objects answers nothing meanwhile
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /readyz, port: 8080}
  periodSeconds: 5
  timeoutSeconds: 5
startupProbe:
  httpGet: {path: /livez, port: 8080}
  periodSeconds: 1
  timeoutSeconds: 5
  failureThreshold: 60
{{- end -}}

{{- /* A ServiceAccount, unless one is named. Tokens are mounted by the pods that need one. */ -}}
{{- define "brownout.serviceaccount" -}}
{{- if not .values.serviceAccount.name }}
---
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "brownout.metadata" . | nindent 2 }}
  {{- with .values.serviceAccount.annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
{{- end }}
{{- end -}}

{{- /* Never for a single replica: that would block every drain. */ -}}
{{- define "brownout.disruption" -}}
{{- if and .values.podDisruptionBudget.enabled (gt (int .replicas) 1) }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{- .metadata | nindent 2 }}
spec:
  maxUnavailable: {{ .values.podDisruptionBudget.maxUnavailable }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels: {{- include "brownout.selector" . | nindent 6 }}
{{- end }}
{{- end -}}
