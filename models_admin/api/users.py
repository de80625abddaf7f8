"""/users: the accounts of people, by the same rules as the page. A password is shown once, when it is made."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from models_admin.api.base import ApiView, ListView, validated
from models_admin.api.fields import StrictSerializer, Text, TrueOrFalse
from models_admin.api.filters import StrictFilterSet, ordering, true_or_false
from models_admin.api.identity import actor_of
from models_admin.api.openapi import listed, problems
from models_admin.api.permissions import AdminsOnly
from models_admin.services import users as services
from models_admin.services.errors import NotFound
from models_admin.services.keys import working_keys

TAGS = ["users"]


class UserSerializer(serializers.ModelSerializer[User]):
    """An account without its password."""

    name = serializers.CharField(source="username")
    role = serializers.SerializerMethodField(help_text="viewer, operator or admin.")
    active = serializers.BooleanField(source="is_active", help_text="Off: no log-in, and its API keys are refused.")
    working_keys = serializers.SerializerMethodField(help_text="API keys that it made and that work now.")

    class Meta:
        model = User
        fields = ("id", "name", "role", "active", "working_keys", "last_login", "date_joined")
        read_only_fields = fields

    def get_role(self, user: User) -> str:
        """What the account may do."""
        return str(services.role_of(user).value)

    def get_working_keys(self, user: User) -> int:
        """How many keys stop when the account is switched off."""
        if "working_keys" not in self.context:  # counted once for a whole list
            self.context["working_keys"] = working_keys(timezone.now())
        return int(self.context["working_keys"].get(user.pk, 0))


class NewUserSerializer(StrictSerializer):
    """What a new account needs."""

    name = Text(max_length=150, trim_whitespace=False, help_text="Letters, digits and @ . + - _ only.")
    role = serializers.ChoiceField(choices=services.Role.choices)


class UserChangeSerializer(StrictSerializer):
    """What may change of an account."""

    role = serializers.ChoiceField(choices=services.Role.choices, required=False)
    active = TrueOrFalse(required=False)


class UserMadeSerializer(UserSerializer):
    """An account with a password just made."""

    password = serializers.CharField(help_text="Shown now and never again. Its owner changes it after the log-in.")

    class Meta(UserSerializer.Meta):
        fields = (*UserSerializer.Meta.fields, "password")
        read_only_fields = fields


class UserFilter(StrictFilterSet):
    """Narrows the list of accounts."""

    name = filters.CharFilter(field_name="username", lookup_expr="icontains", help_text="Part of the name.")
    active = true_or_false("is_active")
    ordering = ordering("username", "date_joined", "last_login")

    class Meta:
        model = User
        fields: tuple[str, ...] = ()


class UserListView(ListView):
    """Accounts, and making one."""

    permission_classes = (AdminsOnly,)
    serializer_class = UserSerializer
    filterset_class = UserFilter
    queryset = User.objects.none()

    def get_queryset(self) -> QuerySet[User]:
        """Every account, those in use first."""
        return get_user_model().objects.order_by("-is_active", "username")

    @extend_schema(operation_id="listUsers", summary="List accounts", tags=TAGS, responses=listed(UserSerializer, 400))
    def get(self, request: Request) -> Response:
        """Accounts and their roles, those in use first."""
        del request
        return self.page_of(self.filter_queryset(self.get_queryset()))

    @extend_schema(
        operation_id="createUser",
        summary="Make an account",
        tags=TAGS,
        request=NewUserSerializer,
        responses={201: UserMadeSerializer, **problems(400)},
    )
    def post(self, request: Request) -> Response:
        """A new account and its password, which is shown once."""
        values = validated(NewUserSerializer(data=request.data))
        user, password = services.create_user(actor=actor_of(request), **values)
        location = reverse("api:user", kwargs={"user_id": user.pk})
        return _with_password(user, password, status.HTTP_201_CREATED, {"Location": location})


class UserView(ApiView):
    """One account."""

    permission_classes = (AdminsOnly,)

    @extend_schema(
        operation_id="getUser", summary="Read an account", tags=TAGS, responses={200: UserSerializer, **problems(404)}
    )
    def get(self, request: Request, user_id: int) -> Response:
        """The account and its role."""
        del request
        return Response(UserSerializer(_find(user_id)).data)

    @extend_schema(
        operation_id="updateUser",
        summary="Change an account's role, or switch it off or on",
        tags=TAGS,
        request=UserChangeSerializer,
        responses={200: UserSerializer, **problems(400, 404, 409)},
    )
    def patch(self, request: Request, user_id: int) -> Response:
        """Set the given fields. 409 for one's own account and for the last active admin."""
        user = _find(user_id)
        values = validated(UserChangeSerializer(data=request.data))
        actor = actor_of(request)
        with transaction.atomic():
            if "role" in values:
                services.set_role(actor=actor, user=user, role=values["role"])
            if "active" in values:
                services.set_active(actor=actor, user=user, active=values["active"])
        return Response(UserSerializer(_find(user_id)).data)


class UserPasswordView(ApiView):
    """Another password."""

    permission_classes = (AdminsOnly,)

    @extend_schema(
        operation_id="resetPassword",
        summary="Make an account a new password",
        tags=TAGS,
        request=None,
        responses={200: UserMadeSerializer, **problems(400, 404, 409)},
    )
    def post(self, request: Request, user_id: int) -> Response:
        """The old one is void, every session of the account ends, and the new one is shown once."""
        validated(StrictSerializer(data=request.data))
        user, password = services.new_password(actor=actor_of(request), user=_find(user_id))
        return _with_password(user, password, status.HTTP_200_OK, {})


def _with_password(user: User, password: str, status_code: int, headers: dict[str, str]) -> Response:
    user.password = password  # for this one answer; the row keeps its hash
    data: Any = UserMadeSerializer(user).data
    return Response(data, status=status_code, headers=headers)


def _find(user_id: int) -> User:
    user: User | None = get_user_model().objects.filter(pk=user_id).first()
    if user is None:
        raise NotFound(_("There is no account %(user_id)s.") % {"user_id": user_id})
    return user
