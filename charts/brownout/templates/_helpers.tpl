{{- define "brownout.fullname" -}}
{{- if contains "brownout" .Release.Name -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-brownout" .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{- define "brownout.selector" -}}
app.kubernetes.io/name: brownout
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "brownout.labels" -}}
{{ include "brownout.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- /* What the pods of both components have in common; .values is the component's part of the values. */ -}}
{{- define "brownout.annotations" -}}
{{- $own := dict -}}
{{- if .root.Values.scrapeAnnotations -}}
{{- $own = dict "prometheus.io/scrape" "true" "prometheus.io/port" "8080" "prometheus.io/path" "/metrics" -}}
{{- end -}}
{{- with merge (deepCopy .values.podAnnotations) $own }}
{{- toYaml . -}}
{{- end -}}
{{- end -}}

{{- define "brownout.pod" -}}
serviceAccountName: {{ include "brownout.fullname" .root }}-{{ .component }}
securityContext: {{- toYaml .root.Values.podSecurityContext | nindent 2 }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
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
{{- end -}}

{{- define "brownout.container" -}}
name: {{ .component }}
image: {{ printf "%s:%s" .root.Values.image.repository (.root.Values.image.tag | default .root.Chart.AppVersion) }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext: {{- toYaml .root.Values.securityContext | nindent 2 }}
resources: {{- toYaml .values.resources | nindent 2 }}
env:
  - name: POD_IP # every server listens here, and nowhere else
    valueFrom: {fieldRef: {fieldPath: status.podIP}}
  - name: POD_NAME
    valueFrom: {fieldRef: {fieldPath: metadata.name}}
  - name: POD_NAMESPACE
    valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
  {{- with .values.quotaStorage }}
  {{- if .secretRef.name }}
  - name: QUOTA_STORAGE_URL
    valueFrom: {secretKeyRef: {name: {{ .secretRef.name }}, key: {{ .secretRef.key }}}}
  {{- end }}
  {{- end }}
  {{- with .values.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
livenessProbe:
  httpGet: {path: /livez, port: 8080}
  periodSeconds: 10
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /readyz, port: 8080}
  periodSeconds: 5
startupProbe:
  httpGet: {path: /livez, port: 8080}
  periodSeconds: 1
  failureThreshold: 60
{{- end -}}

{{- /* The arguments of the flag server that say who may call; the context is flags.auth. */ -}}
{{- define "brownout.callers" -}}
{{- if not .trustContext }}
- --public
{{- end }}
{{- if .required }}
- --require-credentials
{{- end }}
{{- if .apiKeys.secretRef.name }}
- --api-keys=/etc/brownout/api-keys/{{ .apiKeys.secretRef.key }}
{{- end }}
{{- with .jwt }}
{{- if .jwksUrl }}
- {{ printf "--jwt-jwks=%s" .jwksUrl | quote }}
- {{ printf "--jwt-issuer=%s" (required "flags.auth.jwt.issuer: is needed with jwksUrl; write whose tokens count" .issuer) | quote }}
{{- if not .audiences }}{{ fail "flags.auth.jwt.audiences: is needed with jwksUrl; write for whom the tokens have to be" }}{{ end }}
{{- range .audiences }}
- {{ printf "--jwt-audience=%s" . | quote }}
{{- end }}
{{- range .algorithms }}
- --jwt-algorithm={{ . }}
{{- end }}
- --jwt-leeway={{ .leewaySeconds }}
- --jwt-refresh={{ .refreshSeconds }}
{{- with .contextClaim }}
- {{ printf "--jwt-context-claim=%s" . | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
