"""Loading and unloading for the protocol's model repository extension: the control plane's service, for a key.

Place: injected into the runtime, which calls it in a thread; the data plane itself knows no Django.
"""

from __future__ import annotations

from models_admin.models import Model
from models_admin.publishing.connections import looked_after
from models_admin.publishing.snapshot import current_generation
from models_admin.services import models
from models_admin.services.actors import Actor
from models_admin.services.errors import ServiceError
from proxy.core.errors import InvalidRequest, NotFound, Reason
from proxy.core.principals import Principal


def set_loaded(principal: Principal, model: str, loaded: bool) -> int:
    """Want `model` loaded or not; the generation that holds it. Raises NotFound or InvalidRequest. Blocking."""
    actor = Actor(label=principal.label, is_admin=principal.is_admin)
    with looked_after():
        try:
            models.set_loaded(actor=actor, model=Model.objects.get(name=model), loaded=loaded)
        except Model.DoesNotExist:
            raise NotFound(Reason.UNKNOWN_MODEL, f'There is no model "{model}".') from None
        except ServiceError as error:
            raise InvalidRequest(Reason.INVALID_REQUEST, error.message) from None
        return current_generation()
