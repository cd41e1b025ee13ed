{{- /* Combinations that work and are seldom meant, a line each. */ -}}
{{- define "brownout.warnings" -}}
{{- $quota := or .Values.flags.quotaStorage.secretRef.name .Values.redis.enabled -}}
{{- $outside := or (ne .Values.flags.service.type "ClusterIP") .Values.flags.publicUrl .Values.flags.cors.origins -}}
{{- if not .Values.operator.prometheus.url }}
- operator.prometheus.url is not set: until it is, or each GPUPool names a Secret with a url, every metric is missing, and nothing is scaled or shed.
{{- end }}
{{- if not .Values.operator.replicas }}
- operator.replicas is 0: nothing is decided; flags stay as they are.
{{- end }}
{{- if and $outside .Values.flags.auth.trustContext }}
- flags are reached from outside (service.type, publicUrl or cors) and flags.auth.trustContext is true: anybody can claim any plan. Set it to false, and jwt or apiKeys.
{{- end }}
{{- if and (not .Values.flags.auth.trustContext) (not .Values.flags.auth.jwt.jwksUrl) (not .Values.flags.auth.apiKeys.secretRef.name) }}
- flags.auth.trustContext is false, with neither jwt nor apiKeys: nobody can say who they are, and everybody is in the default tier.
{{- end }}
{{- if and (gt (int .Values.flags.replicas) 1) (not $quota) }}
- flags.replicas is {{ .Values.flags.replicas }} and quotas have no storage: each replica would count for itself, and a quota of 3 give up to {{ mul 3 .Values.flags.replicas }}. Set flags.quotaStorage or redis.enabled before a policy has a quota.
{{- end }}
{{- if lt (int .Values.flags.replicas) 2 }}
- flags.replicas is {{ .Values.flags.replicas }}: a lost node leaves applications with their own defaults until the pod is back.
{{- end }}
{{- if and .Values.redis.enabled (not .Values.redis.persistence.enabled) }}
- redis has no volume: when its pod is replaced, everybody's day begins anew.
{{- end }}
{{- if and .Values.redis.enabled (not .Values.redis.auth.secretRef.name) (not .Values.networkPolicy.enabled) }}
- redis has neither a password nor a NetworkPolicy: every pod of the cluster can change what was counted.
{{- end }}
{{- if and .Values.crds.enabled (not .Values.crds.keep) }}
- crds.keep is false: uninstalling the release deletes every policy of the cluster.
{{- end }}
{{- if and .Values.networkPolicy.enabled .Values.networkPolicy.egress.enabled (not .Values.networkPolicy.egress.to) }}
- networkPolicy.egress.to is empty: the operator does not reach a Prometheus, unless it is at one of the API server's ports.
{{- end }}
{{- if and .Values.scrapeAnnotations (or .Values.podMonitor.enabled .Values.serviceMonitor.enabled) }}
- scrapeAnnotations stand beside a monitor: a Prometheus that follows both counts everything twice.
{{- end }}
{{- range .Values.inference.workloads }}
{{- if not (kindIs "invalid" .replicas) }}
- inference workload {{ .name }} has replicas: once it was scaled, Helm 3 puts that number back at every upgrade, and Helm 4 refuses the upgrade. With an InferenceScaler take it out; what runs stays.
{{- end }}
{{- end }}
{{- end -}}
