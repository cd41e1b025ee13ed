"""The demo: a real control plane, real torch servers, a flood of users, and features that go and come back.

`stage` sets it up, `schedule` says how many users come, `crowd` is those users, `witness` watches the objects as anybody with
kubectl could, `story` judges what was seen. Nothing here knows how Brownout decides.
"""
